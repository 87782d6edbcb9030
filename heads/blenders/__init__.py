"""Blenders: ways to make one table of probabilities out of several models' tables."""

from heads.blenders.protocol import Blender
from heads.blenders.registry import BLENDERS, OPTIONAL, blenders_to_try, find_blender

__all__ = ["BLENDERS", "OPTIONAL", "Blender", "blenders_to_try", "find_blender"]
