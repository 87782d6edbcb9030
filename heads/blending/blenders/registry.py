"""The blenders, simplest first."""

from collections.abc import Sequence

from heads.blending.blenders.boosted import LightGBM, XGBoost
from heads.blending.blenders.calibrated import SUFFIX, Calibrated
from heads.blending.blenders.greedy import EnsembleSelection
from heads.blending.blenders.logistic import LogisticStacking
from heads.blending.blenders.neighbours import WITH_NEIGHBOURS, WITH_NEIGHBOURS_APART
from heads.blending.blenders.network import Network
from heads.blending.blenders.protocol import Blender
from heads.blending.blenders.simple import BestSingle, Mean, MeanOfLogits
from heads.blending.blenders.single_label import SingleLabel
from heads.errors import BlendError

MOST_CLIPS_FOR_TREES = 20_000

BLENDERS: tuple[Blender, ...] = (
    Mean(),
    MeanOfLogits(),
    BestSingle(),
    Calibrated(MeanOfLogits()),
    EnsembleSelection(per_class=False),
    EnsembleSelection(per_class=True),
    LogisticStacking(),
    WITH_NEIGHBOURS,
    WITH_NEIGHBOURS_APART,
    XGBoost(),
    LightGBM(),
    Network(),
    XGBoost(takes_frames=True),
    LightGBM(takes_frames=True),
    Network(takes_frames=True),
    SingleLabel(),
    SingleLabel(takes_frames=True),
)


def known_blender(name: str) -> Blender:
    """The blender called `name`, whether it can be used here or not; `<blender>+calibrated` is that one, calibrated.

    Raises:
        BlendError: there is none.
    """
    by_name = {blender.name: blender for blender in BLENDERS}
    if name in by_name:
        return by_name[name]
    plain = name.removesuffix(SUFFIX)
    if plain not in by_name:
        known = ", ".join(by_name)
        raise BlendError(f"there is no blender '{name}'; choose one of {known}, one of them with {SUFFIX}, or auto")
    return Calibrated(by_name[plain])


def find_blender(name: str) -> Blender:
    """The blender called `name`, as `known_blender` finds it.

    Raises:
        BlendError: there is none, or the library that it needs is not installed.
    """
    found = known_blender(name)
    if missing := found.missing():
        raise BlendError(f"blender '{name}': {missing}")
    return found


def blenders_to_try(
    n_clips: int,
    asked: Sequence[str] = (),
    *,
    has_frames: bool = False,
    has_times: bool = False,
    most_clips_for_trees: int = MOST_CLIPS_FOR_TREES,
) -> tuple[dict[str, Blender], list[str]]:
    """The blenders that `auto` chooses among, and a sentence for each reason to leave some out.

    Args:
        n_clips: clips to fit to.
        asked: names of further blenders to try in any case.
        has_frames: whether there are scores of single frames, for the blenders that take them.
        has_times: whether it is known when clips were taken, for the blenders that take what is around a clip.
        most_clips_for_trees: on more clips than these, blenders for small tables are left out.

    Raises:
        BlendError: a blender that was asked for is unknown or cannot be used.
    """
    asked_for = {name: find_blender(name) for name in asked}
    offered = [
        blender
        for blender in BLENDERS
        if (has_frames or not blender.takes_frames) and (has_times or not blender.windows)
    ]
    reasons = {
        blender.name: blender.missing() or _too_slow(blender, n_clips, most_clips_for_trees) for blender in offered
    }
    tried = {blender.name: blender for blender in offered if not reasons[blender.name]} | asked_for
    left_out = {name: reason for name, reason in reasons.items() if reason and name not in tried}
    notes = [
        f"not tried: {', '.join(name for name in left_out if left_out[name] == reason)} ({reason})"
        for reason in dict.fromkeys(left_out.values())
    ]
    return tried, notes


def _too_slow(blender: Blender, n_clips: int, most_clips_for_trees: int) -> str:
    if blender.cost == "asked":
        return "minutes each; --also NAME tries one"
    if blender.cost == "small tables" and n_clips > most_clips_for_trees:
        return f"slow on more than {most_clips_for_trees:,} clips; --also NAME tries it"
    return ""
