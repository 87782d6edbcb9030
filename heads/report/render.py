"""Rendering: the run's facts into one self-contained HTML page."""

from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import yaml
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from heads.report import summary as words
from heads.report.clips import clip_listings
from heads.report.figures.charts import fold_chart, reliability_chart, removal_chart, species_chart
from heads.report.figures.small_multiples import species_reliability
from heads.report.run_facts import RunFacts, read_run
from heads.report.strips import StripMaker
from heads.report.tables.confusion import confusion_table
from heads.report.tables.models import comparison_table, contribution_tables, metadata_table, removal_table
from heads.report.tables.run import (
    bad_clips_table,
    balance_rows,
    pseudo_labels_table,
    settings_tables,
    sites_table,
    splits_table,
)
from heads.report.tables.scores import fold_scores_table, leaderboard_table, species_table, thresholds_table
from heads.run import RunDirectory
from store import FeatureStore


def render_report(run: RunDirectory, store: FeatureStore | None = None, videos: Path | None = None) -> str:
    """The report of a blended run, as one HTML page that needs nothing but itself.

    Args:
        run: the run.
        store: if given, clips worth a look are shown in pictures, decoded from the files that the store knows of.
        videos: the folder that clip ids are paths below, if the files are not where they were when featurized.

    Raises:
        RunError: the run is not blended yet; the message names the command.
    """
    facts = read_run(run)
    environment = Environment(
        loader=FunctionLoader(_package_text),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("template.html").render(
        facts=facts,
        made_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        style=Markup(_package_text("style.css")),
        script=Markup(_package_text("script.js")),
        summary=_summary(facts),
        fold_chart=fold_chart(facts),
        species_chart=species_chart(facts),
        reliability_chart=reliability_chart(facts),
        removal_chart=removal_chart(facts) if facts.metrics["blank_removal"] else "",
        comparison=comparison_table(facts),
        contributions=contribution_tables(facts),
        removal=removal_table(facts),
        leaderboard=leaderboard_table(facts),
        species=species_table(facts),
        confusion=confusion_table(facts),
        splits=splits_table(facts),
        pseudo_labels=pseudo_labels_table(facts),
        multiples=species_reliability(facts),
        metadata_worth=metadata_table(facts.metadata_worth),
        thresholds=thresholds_table(facts),
        fold_scores=fold_scores_table(facts),
        balance=balance_rows(facts),
        sites=sites_table(facts),
        listings=clip_listings(facts, _strips(run, facts, store, videos)),
        bad_clips=bad_clips_table(facts),
        settings=settings_tables(facts),
        config=yaml.safe_dump(dict(facts.config), sort_keys=False, allow_unicode=True) if facts.config else "",
    )


def _strips(run: RunDirectory, facts: RunFacts, store: FeatureStore | None, videos: Path | None) -> StripMaker | None:
    if store is None:
        return None
    return StripMaker(run, store, videos, [name for name in facts.full_heads if name in facts.heads])


def _summary(facts: RunFacts) -> list[tuple[str, list[str]]]:
    return [
        ("Which model is best?", words.best_model(facts)),
        ("Can the numbers be trusted?", words.trust(facts)),
        ("What to look at", words.look_at(facts)),
    ]


def _package_text(name: str) -> str:
    return files("heads.report").joinpath(name).read_text(encoding="utf-8")
