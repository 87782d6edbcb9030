"""What clip facts are worth to a run's heads: each head trained once more, without them or with them."""

from dataclasses import replace

import numpy as np

from heads.data.listener import Listener
from heads.evaluation.metrics import mean_log_loss
from heads.models.trained_head import head_settings
from heads.recipe import DEFAULT_METADATA, HeadConfig
from heads.run import RunDirectory
from heads.workflows.job import TrainingJob
from heads.workflows.training.train import train

OTHER_METADATA = "other_metadata"


def compare_metadata(job: TrainingJob, run: RunDirectory, listener: Listener) -> list[dict[str, float | int | str]]:
    """Train a run's heads once more, those with metadata without and those without with the usual facts; heads that
    never see metadata are passed over.

    Everything else stays as it is: labels, folds, seeds. The second run is kept in the first one's folder
    `other_metadata`; the scores are written to `metadata.json`.

    Args:
        job: what the run was trained on.
        run: trained.
        listener: called after every epoch.

    Returns:
        A dict a head: `head`; `uses`, whether it has metadata in the run itself; `with` and `without`, mean log losses;
        `gain`, what metadata takes off the loss; `folds_better`, in how many of `folds` it took something off.
    """
    other = RunDirectory(run.path / OTHER_METADATA)
    turned = job.recipe.model_copy(update={"heads": tuple(map(_turned, job.recipe.heads))})
    rows: list[dict[str, float | int | str]] = []
    for head in train(replace(job.with_recipe(turned), notes=()), other, listener):
        if not head_settings(run, head.name).traits.takes("metadata"):
            continue
        uses = bool(run.read_head(head.name)["settings"]["metadata"])
        having, lacking = (run, other) if uses else (other, run)
        losses = [_losses(each, head.name) for each in (having, lacking)]
        rows.append(
            {
                "head": head.name,
                "uses": uses,
                "with": losses[0][0],
                "without": losses[1][0],
                "gain": losses[1][0] - losses[0][0],
                "folds_better": int(np.sum(np.array(losses[0][1]) < np.array(losses[1][1]))),
                "folds": len(losses[0][1]),
            }
        )
    run.write_metadata_worth({"heads": rows})
    return rows


def _turned(head: HeadConfig) -> HeadConfig:
    if not head.traits.takes("metadata"):
        return head
    return head.model_copy(update={"metadata": () if head.metadata else DEFAULT_METADATA})


def _losses(run: RunDirectory, head: str) -> tuple[float, list[float]]:
    """The mean log loss of a head over all clips, and over those of each fold."""
    oof = run.read_oof(head)
    values, fold = run.read_labels().only(oof.classes).select(oof.ids).values, run.read_folds().of(oof.ids)
    each = [mean_log_loss(values[fold == number], oof.probabilities[fold == number]) for number in np.unique(fold)]
    return mean_log_loss(values, oof.probabilities), each
