"""What a report is made of, read from a run directory once."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heads.blending.blend import Blend
from heads.data.labels import BLANK, LabelTable
from heads.data.predictions import Predictions
from heads.data.splitting.folds import Folds, balance_table
from heads.errors import RunError
from heads.evaluation.leaderboard import GROUP_OF, METRICS_VERSION, PRIOR, leaderboard
from heads.run import BLEND, RunDirectory


@dataclass(frozen=True, kw_only=True, eq=False)
class RunFacts:
    """The pieces of a run that a report shows.

    Attributes:
        name: the run directory's name.
        labels: labels of the scored clips, in the order of `blend`.
        folds: folds of all labelled clips.
        balance: how the folds spread the classes.
        metrics: scores of heads, blends, the choice among them and baselines, as in metrics.json.
        rows: the leaderboard.
        oof: out-of-fold predictions of every head.
        blend: nested out-of-fold predictions of the chosen blend.
        fitted: the chosen blend, fitted on all folds.
        heads: head.json of each head that has one.
        clips: the clips that did not decode cleanly.
        added: added.json of each model that was brought in from outside.
        splits: log losses by site-grouped and by random folds, a dict a head; empty if they were not compared.
        time_split: log losses of the future of each place, by models of other sites and of its past, a dict a head;
            empty if they were not compared.
        events: the event of each clip that is in one; empty if nobody asked for events.
        metadata_worth: log losses with and without metadata, a dict a head; empty if they were not compared.
        config: the resolved recipe; empty if the run has none.
    """

    name: str
    labels: LabelTable
    folds: Folds
    balance: pd.DataFrame
    metrics: Mapping[str, Any]
    rows: list[dict[str, Any]]
    oof: list[Predictions]
    blend: Predictions
    fitted: Blend
    heads: Mapping[str, Mapping[str, Any]]
    clips: pd.DataFrame
    splits: list[dict[str, Any]]
    time_split: list[dict[str, Any]]
    events: Mapping[str, str]
    metadata_worth: list[dict[str, Any]]
    added: Mapping[str, Mapping[str, Any]]
    config: Mapping[str, Any]

    def scores_of(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The scores behind a row of the leaderboard."""
        scores: Mapping[str, Any] = self.metrics[GROUP_OF[row["kind"]]][row["name"]]
        return scores

    @property
    def chosen(self) -> Mapping[str, Any]:
        """The scores of the chosen blend."""
        scores: Mapping[str, Any] = self.metrics["blends"][self.metrics["chosen"]]
        return scores

    @property
    def prior(self) -> Mapping[str, Any]:
        """The scores of predicting each class's share."""
        scores: Mapping[str, Any] = self.metrics["baselines"][PRIOR]
        return scores

    @property
    def full_heads(self) -> dict[str, Mapping[str, Any]]:
        """The scores of the heads that know every class, best first."""
        heads = self.metrics["heads"]
        full = [name for name in heads if heads[name]["classes"] == list(self.blend.classes)]
        return {name: heads[name] for name in sorted(full, key=lambda name: heads[name]["mean_log_loss"])}

    @cached_property  # like the labels asked for again and again, of runs with very many clips
    def groups(self) -> tuple[str, ...]:
        """The group of each clip of `blend`."""
        return self.folds.group_of(self.blend.ids)

    @property
    def has_sites(self) -> bool:
        """Whether it is known where clips were taken, so that sites were kept whole."""
        return self.labels.sites is not None

    @property
    def units(self) -> str:
        """What is drawn, held out and resampled as a whole: `sites`; `events` or `clips` where sites are not known."""
        return "sites" if self.has_sites else "events" if self.events else "clips"

    @cached_property
    def values(self) -> NDArray[np.uint8]:
        """The labels as the blend's columns stand, (N, C)."""
        return self.labels.values[:, [self.labels.classes.index(name) for name in self.blend.classes]]

    @property
    def animals(self) -> int:
        """How many of the scored clips are not blank."""
        return int((self.values[:, self.blend.classes.index(BLANK)] == 0).sum())


def read_run(run: RunDirectory) -> RunFacts:
    """Read a run that was blended.

    Raises:
        RunError: a piece is missing, or was made by another version; the message names the command that makes it.
    """
    metrics, labels, folds = run.read_metrics(), run.read_labels(), run.read_folds()
    if metrics.get("version") != METRICS_VERSION:
        raise RunError(
            f"{run.metrics_path}: its version is {metrics.get('version')}, expected {METRICS_VERSION}: the run was "
            f"blended by another version of Trapline; run `heads blend --run {run.path}` again"
        )
    blend = run.read_oof(BLEND)
    oof = run.read_all_oof()
    return RunFacts(
        name=run.path.resolve().name,
        labels=labels.select(blend.ids),
        folds=folds,
        balance=balance_table(labels.select(folds.ids).values, folds, labels.classes),
        metrics=metrics,
        rows=leaderboard(metrics),
        oof=oof,
        blend=blend,
        fitted=Blend.from_json(run.read_blend()),
        heads={each.model: run.read_head(each.model) for each in oof if run.head_path(each.model).is_file()},
        clips=run.read_clips(),
        splits=run.read_splits(),
        time_split=run.read_splits("time"),
        events=run.read_events(),
        metadata_worth=run.read_metadata_worth(),
        added={each.model: run.read_added_facts(each.model) for each in oof if run.is_added(each.model)},
        config=run.read_config() if run.config_path.is_file() else {},
    )
