"""Blenders: ways to make one table of probabilities out of several models' tables."""

from heads.blending.blenders.protocol import Blender
from heads.blending.blenders.registry import blenders_to_try, find_blender, known_blender

__all__ = ["Blender", "blenders_to_try", "find_blender", "known_blender"]
