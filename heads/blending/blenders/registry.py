"""The blenders by name, simplest first."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from heads.blending.blenders.boosted import FRAMES, Boosted, LightGBM, XGBoost
from heads.blending.blenders.calibrated import SUFFIX, Calibrated
from heads.blending.blenders.greedy import EnsembleSelection
from heads.blending.blenders.logistic import LogisticStacking
from heads.blending.blenders.mean import Mean, MeanOfLogits
from heads.blending.blenders.network import Network
from heads.blending.blenders.protocol import Blender
from heads.blending.blenders.single import BestSingle
from heads.errors import BlendError

MOST_CLIPS_FOR_TREES = 20_000

_ALL: tuple[Blender, ...] = (
    Mean(),
    MeanOfLogits(),
    BestSingle(),
    Calibrated(MeanOfLogits()),
    EnsembleSelection(per_class=False),
    EnsembleSelection(per_class=True),
    LogisticStacking(),
)
OPTIONAL: Mapping[str, Boosted | Network] = MappingProxyType(
    {
        blender.name: blender
        for framed in (False, True)
        for blender in (XGBoost(framed=framed), LightGBM(framed=framed), Network(framed=framed))
    }
)
BLENDERS: Mapping[str, Blender] = MappingProxyType({blender.name: blender for blender in _ALL})


def find_blender(name: str) -> Blender:
    """The blender called `name`; `<blender>+calibrated` is that blender with calibration after it.

    Raises:
        BlendError: there is none, or the library that it needs is not installed.
    """
    if name in BLENDERS:
        return BLENDERS[name]
    plain = name.removesuffix(SUFFIX)
    if plain in OPTIONAL:
        missing = OPTIONAL[plain].missing()
        if missing:
            raise BlendError(f"blender '{name}': {missing}")
    found: Blender | None = BLENDERS.get(plain) or OPTIONAL.get(plain)
    if found is None:
        raise BlendError(f"there is no blender '{name}'; choose one of {', '.join([*BLENDERS, *OPTIONAL])}, or auto")
    return found if plain == name else Calibrated(found)


def uses_frames(name: str) -> bool:
    """Whether the blender called `name` takes scores of single frames."""
    return name.removesuffix(SUFFIX).endswith(FRAMES)


def blenders_to_try(
    n_clips: int, asked: Sequence[str] = (), *, framed: bool = False
) -> tuple[dict[str, Blender], list[str]]:
    """The blenders that `auto` chooses among, and a sentence for each that is left out.

    Boosters are tried where they are installed and the table is small; the network takes minutes, and is tried if it
    is asked for.

    Args:
        n_clips: clips to fit to.
        asked: names of further blenders to try in any case.
        framed: whether there are scores of single frames, for the blenders that take them.

    Raises:
        BlendError: a blender that was asked for is unknown or cannot be used.
    """
    tried = {**BLENDERS, **{name: find_blender(name) for name in asked}}
    notes = []
    for name, blender in OPTIONAL.items():
        if name in tried or (uses_frames(name) and not framed):
            continue
        reason = blender.missing()
        if not reason and isinstance(blender, Network):
            reason = f"it takes minutes; try it with --also {name}"
        elif not reason and n_clips > MOST_CLIPS_FOR_TREES:
            reason = f"it is slow on more than {MOST_CLIPS_FOR_TREES:,} clips; try it with --also {name}"
        if reason:
            notes.append(f"{name} is left out: {reason}")
        else:
            tried[name] = blender
    return tried, notes
