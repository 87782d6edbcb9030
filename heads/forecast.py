"""How long training is going to take, from the speed of a few epochs on a few clips."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from heads.course import Course
from heads.fit import see_clips
from heads.folds import Folds
from heads.labels import LabelTable
from heads.named import NamedHead
from heads.plan import plan_members
from heads.progress import Progress
from store import FeatureReader

_SAMPLE = 384
_EPOCHS = 3


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What training a head is going to cost.

    Attributes:
        head: its name.
        members: networks that train together.
        clips_per_s: clips that all members have learned from, a second.
        seconds: for everything: statistics, if they are not in the store's cache, building, epochs.
        cache_bytes: what the statistics add to the store's cache.
    """

    head: str
    members: int
    clips_per_s: float
    seconds: float
    cache_bytes: int


def forecast(
    head: NamedHead,
    readers: Mapping[str, FeatureReader],
    facts: pd.DataFrame,
    labels: LabelTable,
    folds: Folds,
    *,
    unlabelled: int = 0,
) -> Forecast:
    """Train a head for a few epochs on a sample of the clips and scale up.

    Args:
        head: what would be trained.
        readers: of the store's keys, by folder name.
        facts: the clip table.
        labels: the labelled clips.
        folds: of these clips.
        unlabelled: how many clips without labels there are to learn from.
    """
    config, reader = head.config, head.reader(readers)
    chosen = np.random.default_rng(0).permutation(len(labels.ids))[:_SAMPLE]
    sample = labels.select([labels.ids[place] for place in np.sort(chosen)])
    known = sample if not config.classes else sample.only(config.classes)
    fold = folds.of(sample.ids)
    judged = bool(unlabelled and config.pseudo_epochs)
    plan = plan_members(config, folds.n_folds, 0, judged=judged)
    started = time.monotonic()
    _, examples = see_clips(reader, facts, sample.ids, config, plan, fold)
    statistics_s = time.monotonic() - started
    course = Course(config, plan, examples, known.values.astype(np.float32), fold, Progress(path=None), 0)
    steps, epochs_s = course.steps(), []
    for _ in range(min(_EPOCHS, config.epochs)):
        started = time.monotonic()
        next(steps)
        epochs_s.append(time.monotonic() - started)
    per_clip = min(epochs_s) / len(sample.ids)
    once = sum(epochs_s) - len(epochs_s) * min(epochs_s)
    share = (len(labels.ids) + (unlabelled if judged else 0)) / len(sample.ids)
    epochs = config.epochs + (config.pseudo_epochs * 2 if judged else 0)
    statistics = len(config.inputs) + (2 if config.sees_frames else 0)
    return Forecast(
        head=head.name,
        members=len(plan),
        clips_per_s=1 / per_clip,
        seconds=statistics_s * share + once + per_clip * epochs * len(labels.ids),
        cache_bytes=int(statistics * 4 * reader.dim * share * len(sample.ids)),
    )
