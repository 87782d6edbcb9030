"""What scores are worth beside those of another split: random folds flatter, and the future of known sites is another
question than sites that no model has seen.
"""

import shutil
from collections.abc import Sequence
from dataclasses import replace

from heads.data.listener import Listener
from heads.data.splitting.events import FUTURE
from heads.errors import TrainError
from heads.evaluation.metrics import mean_log_loss
from heads.run import RunDirectory
from heads.workflows.job import TrainingJob
from heads.workflows.training.train import OTHER_UNLABELLED, difference, train

RANDOM_SPLIT = "random_split"
TIME_SPLIT = "time_split"


def compare_splits(job: TrainingJob, run: RunDirectory, listener: Listener) -> list[dict[str, float | str]]:
    """Train a run's heads once more, on folds that do not keep sites whole, and set the scores side by side.

    Copies of one clip still stay together, and the clips that are learned from are the same. The second run is kept in
    the first one's folder `random_split`; its scores are written to `splits.json`.

    Args:
        job: what the run was trained on, with folds that keep sites whole.
        run: trained.
        listener: called after every epoch.

    Returns:
        A dict a head: `head`, `by_site`, `random` (mean log losses) and `gap` (their difference: what a random split
        makes scores look better by).

    Raises:
        TrainError: the job has no sites.
    """
    if job.labels.sites is None:
        raise TrainError(f"{run.path}: no sites to compare a random split with; give --sites or --site-pattern")
    other, at_random = RunDirectory(run.path / RANDOM_SPLIT), replace(job.without_sites(), notes=())
    if other.config_path.exists() and difference(at_random, other) == OTHER_UNLABELLED:
        listener.note(
            f"{other.path}: learned from clips without labels of no known site, from which the run itself did not, so "
            "that the two cannot be compared; it is trained anew"
        )
        shutil.rmtree(other.path)
    rows: list[dict[str, float | str]] = []
    for head in train(at_random, other, listener):
        losses = _losses(job, (run, other), head.name)
        rows.append({"head": head.name, "by_site": losses[0], "random": losses[1], "gap": losses[0] - losses[1]})
    run.write_splits("heads", rows)
    return rows


def compare_time(job: TrainingJob, run: RunDirectory, listener: Listener) -> list[dict[str, float | str]]:
    """Train a run's heads once more, on the past of each place, and score them on its future.

    The second run is kept in the first one's folder `time_split`: its two folds are the past and the future, and of its
    scores only those of the future count. They are written to `splits.json`, beside what the run says of the same clips
    out of fold.

    Args:
        job: what the run was trained on, with capture times.
        run: trained.
        listener: called after every epoch.

    Returns:
        A dict a head: `head`, `clips` (of the future), `by_site` (the run's mean log loss on them), `by_time` (that of
        models which saw the past of the same places, and nothing later) and `gap`, the first less the second.

    Raises:
        FoldError: there is no future to score.
    """
    by_time, other = job.by_time(), RunDirectory(run.path / TIME_SPLIT)
    future = [
        clip_id for clip_id, fold in zip(by_time.folds.ids, by_time.folds.fold.tolist(), strict=True) if fold == FUTURE
    ]
    rows: list[dict[str, float | str]] = []
    for head in train(by_time, other, listener):
        losses = _losses(job, (run, other), head.name, future)
        found = {"by_site": losses[0], "by_time": losses[1], "gap": losses[0] - losses[1]}
        rows.append({"head": head.name, "clips": len(future), **found})
    run.write_splits("time", rows)
    return rows


def _losses(job: TrainingJob, runs: Sequence[RunDirectory], head: str, ids: Sequence[str] | None = None) -> list[float]:
    """The mean log loss of a head in each of some runs, out of fold; of all its clips if `ids` is None."""
    found = []
    for run in runs:
        oof = run.read_oof(head)
        oof = oof if ids is None else oof.select(ids)
        found.append(mean_log_loss(job.labels.only(oof.classes).select(oof.ids).values, oof.probabilities))
    return found
