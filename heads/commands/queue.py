"""What `heads queue` does, once its words are parsed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from heads.data.decisions import default_log, read_decisions
from heads.data.matching import match_clips, parse_id_map
from heads.data.reading.capture_times import NO_TIMES, TimeSource
from heads.data.reading.sites import labels_and_sites, places_of
from heads.report.tables.collection import collection_sentences
from heads.run import RunDirectory
from heads.selection.doubt import FEWEST_LABELLED, SpeciesDoubt, species_doubt
from heads.selection.pool import Pool
from heads.selection.progress import Progress, Richness, expected, progress
from heads.selection.queue import STRATEGIES, make_queue
from heads.selection.queued import QueuedClip
from heads.selection.sample import collection_score
from heads.workflows.answers.output import require_writable, write_table
from heads.workflows.pool import read_pool
from store import FeatureStore
from store.console import native_chatter, print_json, stderr_console, stdout_console
from store.ids import counted

_SHOWN = 20


def queue(
    store_root: Path,
    run_folder: Path | None,
    *,
    strategy: str,
    count: int,
    out: Path | None,
    class_name: str | None,
    clip: str | None,
    labels: Path | None,
    decisions: Path | None,
    sites: Path | None,
    site_pattern: str | None,
    id_map: Sequence[str],
    features: Sequence[str],
    seed: int,
    as_json: bool,
    timed_by: TimeSource = NO_TIMES,
    verbose: bool = False,
) -> None:
    """Choose clips, say why, and how far labelling has come; write them as a table where one is asked for."""
    if out is not None:
        require_writable(out)
    store = FeatureStore.open(store_root)
    say = stderr_console()
    clips, rules = store.clips().index, parse_id_map(id_map)
    decided = read_decisions(default_log(store_root) if decisions is None else decisions)
    table = None
    site_of: Mapping[str, str] = {}
    notes = list(decided.notes)
    if labels is not None:
        found = labels_and_sites(
            labels, clips, sites=sites, site_pattern=site_pattern, id_map=rules, allow_missing=True
        )
        table, site_of = found.labels, found.sites
        notes += found.notes
    elif sites is not None or site_pattern is not None:
        site_of, own = places_of(clips, sites=sites, site_pattern=site_pattern, id_map=rules)
        notes += own
    with native_chatter(shown=verbose):  # models are loaded where their answers are not kept
        pool = read_pool(
            store,
            run=None if run_folder is None else RunDirectory(run_folder),
            decisions=decided,
            labels=table,
            sites=site_of,
            timed_by=timed_by,
            id_map=rules,
            features=features,
        )
    for sentence in notes:
        say.print(sentence, highlight=False, soft_wrap=True)
    about = class_name or ""
    if strategy in STRATEGIES and STRATEGIES[strategy].about == "clip":
        about = "" if clip is None else match_clips([clip], pool.ids, "--clip").rename(clip)
    chosen = make_queue(pool, strategy=strategy, count=count, seed=seed, about=about)
    state = progress(pool, decided)
    doubts = species_doubt(pool) if strategy == "doubt" else []
    if out is not None:
        write_table(out, queue_table(pool, chosen))
    if as_json:
        print_json(_as_plain(chosen, pool, state, doubts))
        return
    _print(chosen, pool, state, doubts, out, asked=count)


def queue_table(pool: Pool, chosen: Sequence[QueuedClip]) -> pd.DataFrame:
    """A row a clip, in order: `clip_id`, `site`, `strategy`, `is_random` (1 or 0), `score` and `reason`."""
    site_of = dict(zip(pool.ids, pool.sites, strict=True))
    return pd.DataFrame(
        {
            "clip_id": [each.clip_id for each in chosen],
            "site": [site_of[each.clip_id] for each in chosen],
            "strategy": [each.strategy for each in chosen],
            "is_random": [int(each.is_random) for each in chosen],
            "score": [each.score for each in chosen],
            "reason": [each.reason for each in chosen],
        }
    )


def richness_sentence(many: Richness) -> str:
    """How many species were found, and how many there may be if anything points to more."""
    interval = f"{many.low:.0f} to {many.high:.0f}"
    more = f"there may be {many.estimate:.0f} ({interval})"
    if interval == f"{many.found} to {many.found}":
        more = "nothing points to more"
    return f"{many.found} species found in the {many.units} sites, weeks or clips looked into; {more}"


def _as_plain(
    chosen: Sequence[QueuedClip], pool: Pool, state: Progress, doubts: Sequence[SpeciesDoubt]
) -> dict[str, Any]:
    whole = collection_score(pool)
    plain: dict[str, Any] = {
        "queue": [asdict(each) for each in chosen],
        "collection": None if whole is None else asdict(whole),
        "expected": expected(pool, chosen),
        "progress": asdict(state),
    }
    return plain | ({"doubt": [{**asdict(each), "is_settled": each.is_settled} for each in doubts]} if doubts else {})


def _print(
    chosen: Sequence[QueuedClip],
    pool: Pool,
    state: Progress,
    doubts: Sequence[SpeciesDoubt],
    out: Path | None,
    *,
    asked: int,
) -> None:
    console = stdout_console()
    table = Table(box=None, pad_edge=False)
    for name in ("clip", "chosen as", "why"):
        table.add_column(name, overflow="fold")
    for each in chosen[:_SHOWN]:
        table.add_row(each.clip_id, each.strategy, each.reason)
    console.print(table)
    if len(chosen) > _SHOWN:
        rest = "the others are in the table" if out is not None else "--out FILE writes all"
        console.print(f"and {len(chosen) - _SHOWN} more; {rest}")
    counts = ", ".join(f"{number} {name}" for name, number in Counter(each.strategy for each in chosen).most_common())
    fewer = "" if len(chosen) == asked else f" of {asked} that were asked for"
    console.print(f"{counted(len(chosen), 'clip')}{fewer}{f': {counts}' if counts else ''}", soft_wrap=True)
    for sentence in _sentences(chosen, pool, state, doubts):
        console.print(sentence, soft_wrap=True, highlight=False)


def _sentences(chosen: Sequence[QueuedClip], pool: Pool, state: Progress, doubts: Sequence[SpeciesDoubt]) -> list[str]:
    found = [f"{state.labelled} of {len(pool)} clips are labelled, {state.reviewed} were looked at by a person"]
    whole = collection_score(pool)
    found += [] if whole is None else collection_sentences(whole)
    hoped = {name: number for name, number in expected(pool, chosen).items() if number >= 0.5}
    if hoped:
        named = ", ".join(f"{name} {number:.0f}" for name, number in sorted(hoped.items(), key=lambda each: -each[1]))
        found.append(f"to be expected among these: {named}")
    if state.last:
        lately = ", ".join(f"{name} {number}" for name, number in state.found_lately.items() if number)
        found.append(f"found by the last {state.last} decisions: {lately or 'nothing'}")
    if state.richness is not None:
        found.append(richness_sentence(state.richness))
    if state.curve:
        last = state.curve[-1]
        found.append(
            f"of the last {last.clips} clips that chance chose, models had said the right thing first of "
            f"{last.right:.0%} before they were labelled (log loss {last.log_loss:.4f})"
        )
    if doubts:
        open_ones = [each for each in doubts if not each.is_settled]
        settled = len(doubts) - len(open_ones)
        found.append(
            f"{settled} of {len(doubts)} species are settled: what is in doubt is below 5 % of their records or a "
            "quarter of one"
        )
        for each in sorted(open_ones, key=lambda one: -one.doubt):
            clips = f"about {each.reviews} clips settle it" if each.reviews is not None else "no clips settle it"
            found.append(f"{each.name}: {each.doubt:.1f} of {each.records:.1f} records in doubt; {clips}")
        if int(pool.labelled.sum()) < FEWEST_LABELLED:
            found.append(f"only {int(pool.labelled.sum())} clips are labelled: no probability is to be believed yet")
    return found
