"""Rendering: the run's facts into one self-contained HTML page."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from heads.errors import RunError
from heads.evaluation.collection import CollectionScore
from heads.evaluation.verdicts import Verdict, species_verdicts
from heads.report import summary as words
from heads.report.clips import clip_listings
from heads.report.comparison import Comparison, difference_table, sentences_on, settings_table, turned_table
from heads.report.figures.charts import fold_chart, reliability_chart, removal_chart, species_chart
from heads.report.figures.small_multiples import species_reliability
from heads.report.files import ClipFiles
from heads.report.glossary import WORDS
from heads.report.run_facts import RunFacts, read_run
from heads.report.strips import StripMaker
from heads.report.tables.collection import collection_sentences, collection_table
from heads.report.tables.confusion import confusion_table
from heads.report.tables.decisions import coarser_table, light_table, verdict_table
from heads.report.tables.models import comparison_table, contribution_tables, metadata_table, named_table, removal_table
from heads.report.tables.run import (
    bad_clips_table,
    balance_rows,
    events_table,
    pseudo_labels_table,
    settings_tables,
    sites_table,
    splits_table,
    time_table,
)
from heads.report.tables.scores import fold_scores_table, leaderboard_table, species_table, thresholds_table
from heads.run import RunDirectory
from store import FeatureStore

_PICTURE = b"data:image/jpeg"


@dataclass(frozen=True, kw_only=True)
class Page:
    """A report.

    Attributes:
        html: the page.
        pictured: how many clips it shows in pictures.
        lost: clips that it could not show although a store was given: (id, why).
    """

    html: str
    pictured: int
    lost: tuple[tuple[str, str], ...]


def write_report(
    run: RunDirectory,
    store: FeatureStore | None = None,
    videos: Path | None = None,
    collection: CollectionScore | None = None,
) -> list[str]:
    """Write the report of a blended run into it; a page that could show clips is not replaced by one that lost them,
    and by one that was not to show any only with a word on it.

    Args:
        run: the run.
        store: as `render_report` takes it.
        videos: as `render_report` takes it.
        collection: as `render_report` takes it.

    Returns:
        What the user should know of the page, a sentence each.

    Raises:
        RunError: the run is not blended yet; or a store was given, no picture could be had, and the report that is
            there has some.
    """
    page = render_report(run, store, videos, collection)
    had_pictures = not page.pictured and run.report_path.is_file() and _PICTURE in run.report_path.read_bytes()
    if page.lost and had_pictures:
        raise RunError(
            f"{run.report_path} is kept, for it shows clips and a new page could not ({page.lost[0][0]}: "
            f"{page.lost[0][1]}); name the store that the run was trained on and, if the clips have moved, their "
            "folder with --videos, or leave --store out for a page without pictures"
        )
    run.write_report(page.html)
    if had_pictures and store is None:
        return [
            f"{run.report_path} showed clips in pictures, and no longer does, for no store was given; name the clips' "
            "store (--store) to have them again"
        ]
    if not page.lost:
        return []
    clip_id, why = page.lost[0]
    shown = page.pictured + len(page.lost)
    return [f"{len(page.lost)} of {shown} clips are shown without pictures, for example {clip_id}: {why}"]


def render_report(
    run: RunDirectory,
    store: FeatureStore | None = None,
    videos: Path | None = None,
    collection: CollectionScore | None = None,
) -> Page:
    """The report of a blended run, as one HTML page that needs nothing but itself.

    Args:
        run: the run.
        store: if given, clips worth a look are shown in pictures, decoded from the files that the store knows of.
        videos: the folder that clip ids are paths below, if the files are not where they were when featurized.
        collection: what clips that chance drew say of the whole collection, if any were drawn.

    Raises:
        RunError: the run is not blended yet; the message names the command.
    """
    facts = read_run(run)
    clips = None if store is None else store.clips()
    files = None if clips is None else ClipFiles(clips, videos)
    listings = clip_listings(facts, _strips(run, facts, store, files), files)
    found = species_verdicts(facts.metrics, facts.balance, facts.folds.n_folds, sites=facts.has_sites)
    html = _fill(
        "template.html",
        facts=facts,
        decisions=_decisions(facts, found),
        verdicts=verdict_table(facts, found),
        coarser=coarser_table(facts),
        light=light_table(facts, clips),
        collection=collection_table(collection),
        collection_sentences=[] if collection is None else collection_sentences(collection),
        best_model=words.best_model(facts),
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
        time_split=time_table(facts),
        events=events_table(facts),
        pseudo_labels=pseudo_labels_table(facts),
        multiples=species_reliability(facts),
        metadata_worth=metadata_table(facts.metadata_worth),
        named=named_table(facts),
        thresholds=thresholds_table(facts),
        fold_scores=fold_scores_table(facts),
        balance=balance_rows(facts),
        sites=sites_table(facts),
        listings=listings,
        bad_clips=bad_clips_table(facts),
        settings=settings_tables(facts),
        words=WORDS,
        config=yaml.safe_dump(dict(facts.config), sort_keys=False, allow_unicode=True) if facts.config else "",
    )
    strips = {card.clip_id: card.strip for listing in listings for card in listing.cards}
    return Page(
        html=html,
        pictured=sum(bool(strip.frames) for strip in strips.values()),
        lost=tuple((clip_id, strip.problem) for clip_id, strip in strips.items() if strip.lost),
    )


def render_comparison(found: Comparison) -> str:
    """Two runs side by side, as one HTML page that needs nothing but itself."""
    return _fill(
        "comparison.html",
        found=found,
        sentences=sentences_on(found),
        differences=difference_table(found),
        turned=turned_table(found),
        settings=settings_table(found),
    )


@cache
def _environment() -> Environment:
    """What compiles templates: each once in a process."""
    return Environment(
        loader=FunctionLoader(_package_text),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _fill(template: str, **values: Any) -> str:
    return (
        _environment()
        .get_template(template)
        .render(
            made_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            style=Markup(_package_text("palette.css") + "\n" + _package_text("style.css")),
            script=Markup(_package_text("script.js")),
            **values,
        )
    )


def _strips(
    run: RunDirectory, facts: RunFacts, store: FeatureStore | None, files: ClipFiles | None
) -> StripMaker | None:
    if store is None or files is None:
        return None
    return StripMaker(run, store, files, [name for name in facts.full_heads if name in facts.heads])


def _decisions(facts: RunFacts, found: list[Verdict]) -> list[tuple[str, list[str]]]:
    return [
        ("What can be dropped unseen?", words.blanks(facts)),
        ("Which species can be taken?", [words.species(found), *words.look_at(facts)]),
        ("How far can this be trusted?", words.trust(facts)),
    ]


def _package_text(name: str) -> str:
    return resources.files("heads.report").joinpath(name).read_text(encoding="utf-8")
