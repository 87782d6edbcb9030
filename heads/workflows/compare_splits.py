"""How much scores flatter when clips of one site stand on both sides of a split."""

from collections.abc import Callable
from dataclasses import replace

from heads.data.history import Epoch
from heads.errors import TrainError
from heads.evaluation.metrics import mean_log_loss
from heads.recipe import Recipe
from heads.run import RunDirectory
from heads.workflows.train import train_on
from store import FeatureStore

RANDOM_SPLIT = "random_split"


def compare_splits(
    store: FeatureStore,
    run: RunDirectory,
    recipe: Recipe,
    *,
    unlabelled: bool = False,
    report: Callable[[str, Epoch], None] = lambda _name, _epoch: None,
) -> list[dict[str, float | str]]:
    """Train a run's heads once more, on folds that do not keep sites whole, and set the scores side by side.

    Copies of one clip still stay together. The second run is kept in the first one's folder `random_split`; its
    scores are written to `splits.json`.

    Args:
        store: the cached features.
        run: trained on folds that keep sites whole.
        recipe: of that run.
        unlabelled: whether that run learned from clips without labels.
        report: called after every epoch.

    Returns:
        A dict a head: `head`, `by_site`, `random` (mean log losses) and `gap` (their difference: what a random split
        makes scores look better by).

    Raises:
        TrainError: the run has no sites.
    """
    labels = run.read_labels()
    if labels.sites is None:
        raise TrainError(f"{run.path}: no sites to compare a random split with; give --sites or --site-pattern")
    other = RunDirectory(run.path / RANDOM_SPLIT)
    rows: list[dict[str, float | str]] = []
    for head in train_on(store, replace(labels, sites=None), other, recipe, unlabelled=unlabelled, report=report):
        losses = [
            mean_log_loss(labels.only(oof.classes).select(oof.ids).values, oof.probabilities)
            for oof in (run.read_oof(head.name), other.read_oof(head.name))
        ]
        rows.append({"head": head.name, "by_site": losses[0], "random": losses[1], "gap": losses[0] - losses[1]})
    run.write_splits({"heads": rows})
    return rows
