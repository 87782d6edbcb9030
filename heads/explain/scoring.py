"""What the heads of a run say of the frames of a store's clips."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

import keras
import numpy as np
from numpy.typing import NDArray

from heads.data.frame_statistics import SPREAD, as_layers, of_one_frame
from heads.explain.frame_scores import frame_probabilities, frame_spread
from heads.features.readers import ids_with_frames
from heads.models.trained_head import head_reader, see_new_clips
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
    """The heads that were trained here and whose scores of single frames the run does not hold yet."""
    return [name for name in run.head_names() if not (run.is_added(name) or run.has_frames(name))]


def score_frames(
    run: RunDirectory,
    store: FeatureStore,
    heads: Sequence[str],
    report: Callable[[str, str, int, int], None] = lambda _head, _text, _number, _total: None,
) -> None:
    """Keep how each head's out-of-fold scores of single frames are spread over each clip.

    Args:
        run: trained.
        store: holds the features that the heads read.
        heads: of `heads_to_score`.
        report: called after every clip: with the head, a sentence, the number of the clip, and of how many.
    """
    for name in heads:
        _score_head(run, store, name, report)


def _score_head(
    run: RunDirectory, store: FeatureStore, name: str, report: Callable[[str, str, int, int], None]
) -> None:
    facts, oof = run.read_head(name), run.read_oof(name)
    reader = head_reader(store, name, facts)
    framed = oof.select(ids_with_frames(reader, oof.ids))
    examples = see_new_clips(run, name, facts, reader, store.clips().loc[list(framed.ids)])
    fold = np.asarray(framed.fold)
    spread = np.zeros((len(SPREAD), len(framed.ids), len(framed.classes)), np.float32)
    clips, total = count(1), len(framed.ids)

    def seen() -> None:
        number = next(clips)
        report(name, f"{name}: single frames of clip {number} of {total}", number, total)

    for number in np.unique(fold).tolist():
        model = keras.saving.load_model(run.model_path(name, number), compile=False)
        own = np.flatnonzero(fold == number)
        spread[:, own] = frame_spread([(number, model)], examples, own, seen)[0]
    layers = as_layers(name, framed.ids, framed.classes, spread, fold)
    run.write_frames(name, [each.over(other) for each, other in zip(layers, of_one_frame(oof), strict=True)])


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
    folds, facts = run.read_folds(), run.read_head(head)
    fold_of = dict(zip(folds.ids, folds.fold.tolist(), strict=True))
    reader = head_reader(store, head, facts)
    examples = see_new_clips(run, head, facts, reader, store.clips().loc[list(clip_ids)])
    models = [keras.saving.load_model(run.model_path(head, number), compile=False) for number in range(folds.n_folds)]
    everyone = np.arange(len(clip_ids))
    found = {}
    for place, each in enumerate(frame_probabilities(list(enumerate(models)), examples, everyone)):
        own = fold_of.get(clip_ids[place])
        found[clip_ids[place]] = ScoresOverTime(
            head=head,
            classes=tuple(facts["classes"]),
            times_s=reader.times(int(examples.rows[place])),
            probabilities=(each.mean(axis=0) if own is None else each[own]).astype(np.float64),
        )
    return found
