"""How long training is going to take, from the speed of a few epochs on a few clips."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import psutil

from heads.data.features.batches import PREDICT_CLIPS, in_turn
from heads.data.features.readers import Reader, ids_with_frames
from heads.recipe.kinds import resolve
from heads.trainers.checkpoint import Checkpoint
from heads.trainers.cross_validation import make_batches, meant_animals
from heads.trainers.members import most_learned, plan_members
from heads.trainers.schedule import scale_length
from heads.trainers.task import HeadTask, Train
from heads.trainers.trainer import Trainer
from heads.workflows.job import TrainingJob
from heads.workflows.resolve import HeadSpec

_SAMPLE = 384
_SAMPLE_AS_RECORDED = 64  # a clip takes many times as long by its pixels, or its sound
_EPOCHS = 3


@dataclass(frozen=True, kw_only=True)
class CostEstimate:
    """What training a head is going to cost.

    Attributes:
        head: its name.
        members: networks that train together.
        clips_per_s: clips that all members have learned from, a second.
        seconds: for everything: statistics, if they are not in the store's cache, building, epochs.
        cache_bytes: what the statistics add to the store's cache.
        from_disk: whether every epoch has to read the frames from the disk again, since memory cannot hold them.
    """

    head: str
    members: int
    clips_per_s: float
    seconds: float
    cache_bytes: int
    from_disk: bool


def estimate_job(job: TrainingJob) -> list[CostEstimate]:
    """What each head of a job is going to cost, in its order.

    Heads of the same settings on features of the same kind, as one recipe's on several networks, are measured once: the
    others' costs are that one's, by their columns and, if they see frames, by their frames.
    """
    measured: dict[str, tuple[CostEstimate, Reader]] = {}
    found = []
    for head in job.heads:
        config, reader = head.config, job.reader(head)
        alike = f"{len(head.keys)} {config.model_dump_json(exclude={'name', 'sources', 'without', 'view'})}"
        if alike not in measured:
            measured[alike] = (estimate_cost(job, head), reader)
        like, its_reader = measured[alike]
        columns = reader.dim / its_reader.dim
        size = columns * (float(reader.lengths.mean() / its_reader.lengths.mean()) if config.sees_frames else 1.0)
        found.append(
            replace(
                like,
                head=head.name,
                clips_per_s=like.clips_per_s / size,
                seconds=like.seconds * size,
                cache_bytes=round(like.cache_bytes * columns),
            )
        )
    return found


def estimate_cost(job: TrainingJob, head: HeadSpec, *, clips: int | None = None) -> CostEstimate:
    """Train a head for a few epochs on a sample of the clips and scale up.

    Args:
        job: what the head would be trained on.
        head: one of the job's.
        clips: number of labelled clips to estimate for; the number of labelled clips of the job if None.
    """
    reader, facts, folds = job.reader(head), job.facts, job.folds
    unlabelled, labels = len(job.unlabelled.ids), job.labels
    labels = labels.select(ids_with_frames(reader, labels.ids))
    wanted = len(labels.ids) if clips is None else clips
    config = scale_length(head.config, round(most_learned(folds.of(labels.ids)) * wanted / len(labels.ids)))
    most = _SAMPLE if config.traits.content == "features" else _SAMPLE_AS_RECORDED
    chosen = np.random.default_rng(0).permutation(len(labels.ids))[:most]
    sample = labels.select([labels.ids[place] for place in np.sort(chosen)])
    known = sample if not config.classes else sample.only(config.classes)
    fold = folds.of(sample.ids)
    judged = bool(unlabelled and config.pseudo_epochs)
    everything = wanted + (unlabelled if judged else 0)
    plan = plan_members(config, folds.n_folds, 0, judged=judged)
    read_s = _timed(lambda: _read_once(reader, sample.ids))
    started = time.monotonic()
    _, examples = make_batches(reader, facts, sample.ids, config, plan, fold)
    statistics_s = time.monotonic() - started
    targets = known.values.astype(np.float32)
    meant = meant_animals(config, known.classes)
    task = HeadTask(config=config, plan=plan, examples=examples, targets=targets, fold=fold, meant=meant)
    columns = sum(values.shape[1] for values in examples.statistics.values())
    if not config.takes_epochs:
        train: Train = resolve(config.traits.trainer)
        fit_s = _timed(lambda: train(task, Checkpoint(path=None), lambda _: None, threading.Event()))
        return CostEstimate(
            head=head.name,
            members=len(plan),
            clips_per_s=len(sample.ids) / fit_s,
            seconds=max(statistics_s, read_s) * wanted / len(sample.ids) + fit_s * max(1.0, wanted / len(sample.ids)),
            cache_bytes=4 * columns * wanted,
            from_disk=False,
        )
    trainer = Trainer(task, Checkpoint(path=None))
    steps = trainer.steps()
    epochs_s = [_timed(lambda: next(steps)) for _ in range(min(config.head_epochs + _EPOCHS, config.epochs))]
    usual_s = min(epochs_s[config.head_epochs :] or epochs_s)  # epochs of the output layer alone take less
    once = max(0.0, sum(epochs_s) - len(epochs_s) * usual_s)
    frames_bytes = int(reader.lengths[examples.rows].mean() * reader.dim * reader.dtype.itemsize) * everything
    from_disk = config.sees_frames and frames_bytes > _memory_bytes()
    # The next batches are read while one is learned from, so the slower of the two sets the pace.
    per_clip = max(usual_s, read_s if from_disk else 0.0) / len(sample.ids)
    share = everything / len(sample.ids)
    epochs = config.epochs + (config.pseudo_epochs * 2 if judged else 0)
    columns += 2 * reader.dim if config.sees_frames else 0
    return CostEstimate(
        head=head.name,
        members=len(plan),
        clips_per_s=1 / per_clip,
        seconds=max(statistics_s, read_s) * share + once + per_clip * epochs * wanted,
        cache_bytes=4 * columns * everything,
        from_disk=from_disk,
    )


def _timed(action: Callable[[], object]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started


def _read_once(reader: Reader, ids: tuple[str, ...]) -> None:
    """Read some clips as training does; from the disk if nobody has lately."""
    rows = np.random.default_rng(0).permutation(reader.index_of(ids))
    for places in in_turn(len(rows), PREDICT_CLIPS):
        reader.batch(rows[places])


def _memory_bytes() -> int:
    """What memory the system could give to a cache of the disk."""
    return int(psutil.virtual_memory().total)
