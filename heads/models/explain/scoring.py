"""What the heads of a run say of the frames of a store's clips."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from heads.data.features.readers import ids_with_frames
from heads.data.frame_statistics import FRAME_STATISTICS, for_one_frame, to_predictions
from heads.models.explain.frame_scores import frame_probabilities, frame_spread
from heads.models.trained_head import TrainedHead, head_settings
from heads.run import RunDirectory
from store import FeatureStore


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoresOverTime:
    """What a head says of the frames of a clip: (T,) `times_s`, and `probabilities` (T, C) of `classes`."""

    head: str
    classes: tuple[str, ...]
    times_s: NDArray[np.float64]
    probabilities: NDArray[np.float64]


def heads_to_score(run: RunDirectory) -> list[str]:
    """The heads that were trained here, can be asked about single frames, and whose scores of these the run lacks."""
    names = [name for name in run.head_names() if not (run.is_added(name) or run.has_frames(name))]
    return [name for name in names if head_settings(run, name).traits.scores_frames]


def score_frames(
    run: RunDirectory,
    store: FeatureStore,
    heads: Sequence[str],
    scored: Callable[[str, int, int], None] = lambda _head, _number, _total: None,
) -> None:
    """Keep how each head's out-of-fold scores of single frames are spread over each clip.

    Args:
        run: trained.
        store: holds the features that the heads read.
        heads: of `heads_to_score`.
        scored: called after every clip: with the head, the number of the clip, and of how many.
    """
    for name in heads:
        _score_head(run, store, name, scored)


def _score_head(run: RunDirectory, store: FeatureStore, name: str, scored: Callable[[str, int, int], None]) -> None:
    head, oof = TrainedHead(run, store, name), run.read_oof(name)
    framed = oof.select(ids_with_frames(head.reader, oof.ids))
    examples = head.examples(framed.ids)
    fold = np.asarray(framed.fold)
    spread = np.zeros((len(FRAME_STATISTICS), len(framed.ids), len(framed.classes)), np.float32)
    clips, total = count(1), len(framed.ids)

    def seen() -> None:
        number = next(clips)
        scored(name, number, total)

    for number in np.unique(fold).tolist():
        own = np.flatnonzero(fold == number)
        spread[:, own] = frame_spread([(number, head.model(number))], examples, own, seen)[0]
        head.unload()
    layers = to_predictions(name, framed.ids, framed.classes, spread, fold)
    run.write_frames(name, [each.over(other) for each, other in zip(layers, for_one_frame(oof), strict=True)])


def scores_over_time(
    run: RunDirectory, store: FeatureStore, head: str, clip_ids: Sequence[str]
) -> dict[str, ScoresOverTime]:
    """What a head says of the frames of some clips: of a labelled one by the model that has not seen it, else by all.

    Args:
        run: trained.
        store: holds the features that the head reads.
        head: its name.
        clip_ids: the clips; each must have a frame under these features.

    Raises:
        PredictError: the store has not got the head's features.
        UnknownClipError: the store lacks a clip.
    """
    trained = TrainedHead(run, store, head)
    examples, asked = trained.examples(clip_ids), trained.folds_for(clip_ids)
    found = {}
    for folds in np.unique(asked, axis=0):
        models = [(fold, trained.model(fold)) for fold in np.flatnonzero(folds).tolist()]
        places = np.flatnonzero((asked == folds).all(axis=1))
        for place, each in zip(places.tolist(), frame_probabilities(models, examples, places), strict=True):
            found[clip_ids[place]] = ScoresOverTime(
                head=head,
                classes=trained.classes,
                times_s=trained.reader.times(int(examples.rows[place])),
                probabilities=each.mean(axis=0).astype(np.float64),
            )
    return found
