"""The blenders by name, simplest first."""

from collections.abc import Mapping
from types import MappingProxyType

from heads.blenders.calibrated import SUFFIX, Calibrated
from heads.blenders.greedy import Greedy
from heads.blenders.logistic import Logistic
from heads.blenders.mean import Mean, MeanOfLogits
from heads.blenders.protocol import Blender
from heads.blenders.single import BestSingle
from heads.errors import BlendError

_ALL: tuple[Blender, ...] = (
    Mean(),
    MeanOfLogits(),
    BestSingle(),
    Calibrated(MeanOfLogits()),
    Greedy(per_class=False),
    Greedy(per_class=True),
    Logistic(),
)
BLENDERS: Mapping[str, Blender] = MappingProxyType({blender.name: blender for blender in _ALL})


def find_blender(name: str) -> Blender:
    """The blender called `name`; `<blender>+calibrated` is that blender with calibration after it.

    Raises:
        BlendError: there is none.
    """
    if name in BLENDERS:
        return BLENDERS[name]
    plain = name.removesuffix(SUFFIX)
    if plain == name or plain not in BLENDERS:
        raise BlendError(f"there is no blender '{name}'; choose one of {', '.join(BLENDERS)}, or auto")
    return Calibrated(BLENDERS[plain])
