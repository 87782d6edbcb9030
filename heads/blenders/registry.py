"""The blenders by name, simplest first."""

from collections.abc import Mapping
from types import MappingProxyType

from heads.blenders.mean import Mean, MeanOfLogits
from heads.blenders.protocol import Blender

_ALL: tuple[Blender, ...] = (Mean(), MeanOfLogits())
BLENDERS: Mapping[str, Blender] = MappingProxyType({blender.name: blender for blender in _ALL})
