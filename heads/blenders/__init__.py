"""Blenders: ways to make one table of probabilities out of several models' tables."""

from heads.blenders.protocol import Blender
from heads.blenders.registry import BLENDERS, find_blender

__all__ = ["BLENDERS", "Blender", "find_blender"]
