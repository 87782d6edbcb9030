"""What `heads export` does: the out-of-fold answers of a run, in the format that somebody wants."""

from collections import Counter
from pathlib import Path

import pandas as pd

from heads.data.reading.capture_times import NO_TIMES, TimeSource
from heads.data.reading.sites import places_of
from heads.run import RunDirectory
from heads.workflows.answers.output import require_writable, write_predictions
from heads.workflows.exports.answers import out_of_fold_answers
from heads.workflows.exports.registry import ExportOptions
from heads.workflows.exports.registry import export as write_export
from heads.workflows.timing import timing_of
from store import FeatureStore, Status
from store.console import print_json, stderr_console
from store.ids import counted


def export(
    run_folder: Path,
    out: Path,
    options: ExportOptions,
    *,
    store_root: Path | None,
    sites: Path | None,
    site_pattern: str | None,
    as_json: bool,
    timed_by: TimeSource = NO_TIMES,
) -> None:
    """Write what the run says of the clips that it learned from, each by models that did not."""
    chosen = options.chosen()
    require_writable(out) if chosen is None else chosen.require(out)
    run = RunDirectory(run_folder)
    store = None if store_root is None else FeatureStore.open(store_root)
    new = out_of_fold_answers(run)
    places, notes = places_of(new.predictions.ids, sites=sites, site_pattern=site_pattern)
    places = {**run.read_labels().known_sites, **places}
    facts = pd.DataFrame() if store is None else store.clips()
    timing = timing_of(run, new.predictions.ids, facts, places, timed_by)
    new, notes = new.with_events(timing.events), (*notes, *timing.notes)
    if chosen is None:
        write_predictions(out, new)
    else:
        notes = (*notes, *write_export(out, chosen, options, run, store, new, places, timing))
    for sentence in notes:
        stderr_console().print(sentence, highlight=False, soft_wrap=True)
    statuses = Counter(each.value for each in new.status)
    if as_json:
        origins = Counter(each.value for each in new.origin)
        print_json(
            {"out": str(out), "clips": len(new.status), "statuses": statuses, "origins": origins, "notes": notes}
        )
        return
    failed = f", {statuses[Status.FAILED.value]} of which could not be decoded" if statuses[Status.FAILED.value] else ""
    print(f"{counted(len(new.status), 'clip')}, answered by models that did not learn from them{failed}: {out}")
