"""The blenders by name, simplest first."""

from collections.abc import Mapping
from types import MappingProxyType

from heads.blenders.greedy import Greedy
from heads.blenders.logistic import Logistic
from heads.blenders.mean import Mean, MeanOfLogits
from heads.blenders.protocol import Blender
from heads.blenders.single import BestSingle

_ALL: tuple[Blender, ...] = (
    Mean(),
    MeanOfLogits(),
    BestSingle(),
    Greedy(per_class=False),
    Greedy(per_class=True),
    Logistic(),
)
BLENDERS: Mapping[str, Blender] = MappingProxyType({blender.name: blender for blender in _ALL})
