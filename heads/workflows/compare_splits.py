"""How much scores flatter when clips of one site stand on both sides of a split."""

from dataclasses import replace

from heads.data.listener import Listener
from heads.errors import TrainError
from heads.evaluation.metrics import mean_log_loss
from heads.run import RunDirectory
from heads.workflows.job import TrainingJob
from heads.workflows.train import train

RANDOM_SPLIT = "random_split"


def compare_splits(job: TrainingJob, run: RunDirectory, listener: Listener) -> list[dict[str, float | str]]:
    """Train a run's heads once more, on folds that do not keep sites whole, and set the scores side by side.

    Copies of one clip still stay together, and the clips that are learned from are the same. The second run is kept in
    the first one's folder `random_split`; its scores are written to `splits.json`.

    Args:
        job: what the run was trained on, with folds that keep sites whole.
        run: trained.
        listener: is told every epoch.

    Returns:
        A dict a head: `head`, `by_site`, `random` (mean log losses) and `gap` (their difference: what a random split
        makes scores look better by).

    Raises:
        TrainError: the job has no sites.
    """
    if job.labels.sites is None:
        raise TrainError(f"{run.path}: no sites to compare a random split with; give --sites or --site-pattern")
    other = RunDirectory(run.path / RANDOM_SPLIT)
    rows: list[dict[str, float | str]] = []
    for head in train(replace(job.without_sites(), notes=()), other, listener):
        losses = [
            mean_log_loss(job.labels.only(oof.classes).select(oof.ids).values, oof.probabilities)
            for oof in (run.read_oof(head.name), other.read_oof(head.name))
        ]
        rows.append({"head": head.name, "by_site": losses[0], "random": losses[1], "gap": losses[0] - losses[1]})
    run.write_splits({"heads": rows})
    return rows
