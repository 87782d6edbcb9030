"""How much scores flatter when clips of one site stand on both sides of a split."""

import shutil
from dataclasses import replace

from heads.data.listener import Listener
from heads.errors import TrainError
from heads.evaluation.metrics import mean_log_loss
from heads.run import RunDirectory
from heads.workflows.job import TrainingJob
from heads.workflows.train import OTHER_UNLABELLED, difference, train

RANDOM_SPLIT = "random_split"


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
        losses = [
            mean_log_loss(job.labels.only(oof.classes).select(oof.ids).values, oof.probabilities)
            for oof in (run.read_oof(head.name), other.read_oof(head.name))
        ]
        rows.append({"head": head.name, "by_site": losses[0], "random": losses[1], "gap": losses[0] - losses[1]})
    run.write_splits({"heads": rows})
    return rows
