"""Soft labels of clips without labels: what the heads of an earlier run say of them, where these agree.

Source: first place of DrivenData's Pri-matrix Factorization, whose five networks' mean became the label of a test clip
where the squares of their deviations from it added up to less than 0.1.
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from heads.data.features.readers import ids_with_frames
from heads.errors import TrainError
from heads.models.trained_head import TrainedHead
from heads.run import RunDirectory
from heads.workflows.job import TrainingJob
from store.digest import file_sha256, settings_digest
from store.ids import name_a_few

LIMIT = 0.1
_FEWEST_HEADS = 2


def with_soft_labels(job: TrainingJob, teacher: RunDirectory, limit: float = LIMIT) -> TrainingJob:
    """The job with what the heads of a run say of its clips without labels, in place of each member's own guesses.

    The members of a fold are told what those models of `teacher` say that have not seen that fold either, so that
    nothing of a fold reaches those that are scored on it.

    Args:
        job: learns from clips without labels.
        teacher: a run that was trained on the same labels and folds.
        limit: of the sum, over heads and classes, of squared deviations from the heads' mean.

    Raises:
        TrainError: the run has other folds, or fewer than two heads that tell all classes apart; or the limit is none.
        PredictError: the store lacks features of its heads.
    """
    if not 0 < limit < math.inf:
        raise TrainError(f"--agreement {limit:g}: expected a number above 0, such as {LIMIT:g}")
    if not any(head.config.pseudo_epochs for head in job.heads):
        raise TrainError(
            "--soft-labels: no head of the recipe learns from clips without labels; give a recipe whose heads have "
            "`pseudo_epochs`, such as configs/third_place.yaml"
        )
    _require_same_folds(job, teacher)
    heads = [TrainedHead(teacher, job.store, name) for name in teacher.head_names() if not teacher.is_added(name)]
    heads = [head for head in heads if set(head.classes) == set(job.labels.classes)]
    if len(heads) < _FEWEST_HEADS:
        raise TrainError(
            f"{teacher.path}: has {len(heads)} heads that tell all classes apart, and one cannot agree with itself; "
            "train a run of two or more heads, such as the default recipe on two networks"
        )
    said = np.stack([_asked(head, job) for head in heads])
    labels = agreed(said, limit)
    kept = ~np.isnan(labels).any(axis=2)
    of_all = len(job.unlabelled.ids)
    note = (
        f"{teacher.path}: its {len(heads)} heads agree on {kept.sum(axis=1).mean():,.0f} of {of_all:,} clips without "
        "labels, which are learned from as their mean says"
    )
    return replace(
        job,
        unlabelled=replace(job.unlabelled, said=labels, classes=job.labels.classes, source=_digest(teacher, limit)),
        notes=(*job.notes, note),
    )


def agreed(said: NDArray[np.float64], limit: float) -> NDArray[np.float32]:
    """(K, U, C) the mean over heads where they agree, NaN where they do not.

    Args:
        said: (H, K, U, C) the probabilities of each head's K models, NaN where a head has no frames of a clip.
        limit: of the sum, over heads and classes, of squared deviations from the mean.
    """
    mean = said.mean(axis=0)
    apart = ((said - mean) ** 2).sum(axis=(0, 3))
    return np.where((apart < limit)[:, :, None], mean, np.nan).astype(np.float32)


def _asked(head: TrainedHead, job: TrainingJob) -> NDArray[np.float64]:
    """(K, U, C) what a head's models say of the job's clips without labels, classes in the job's order."""
    ids = ids_with_frames(head.reader, job.unlabelled.ids)
    place = {clip_id: row for row, clip_id in enumerate(job.unlabelled.ids)}
    found = np.full((head.n_folds, len(place), len(head.classes)), np.nan)
    if ids:
        found[:, [place[clip_id] for clip_id in ids]] = head.predict(head.examples(ids))
    head.unload()
    return found[:, :, [head.classes.index(name) for name in job.labels.classes]]


def _require_same_folds(job: TrainingJob, teacher: RunDirectory) -> None:
    folds = teacher.read_folds()
    theirs = dict(zip(folds.ids, folds.fold.tolist(), strict=True))
    own = dict(zip(job.folds.ids, job.folds.fold.tolist(), strict=True))
    other = sorted(name for name in own.keys() | theirs.keys() if own.get(name) != theirs.get(name))
    if other:
        raise TrainError(
            f"{teacher.path}: has other folds than this training: {name_a_few(other)} would be scored by models that "
            "learned what others knew of them; use the same labels, sites and seed, or --like this run"
        )


def _digest(teacher: RunDirectory, limit: float) -> str:
    """What tells these soft labels from others."""
    files = [path for name in teacher.head_names() for path in (teacher.head_path(name), teacher.oof_path(name))]
    return settings_digest([limit, [file_sha256(path) for path in files if path.is_file()]])
