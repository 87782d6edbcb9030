"""What `heads predict` does, once its words are parsed."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from heads.data.matching import apply_rules, parse_id_map, require_fitting
from heads.data.predictions import Predictions
from heads.data.reading.capture_times import NO_TIMES, TimeSource
from heads.data.reading.mapping import read_mapping
from heads.data.reading.sites import places_of
from heads.data.tables import TextTable
from heads.errors import PredictionError
from heads.models.explain.attribution import explaining_head, top_frames
from heads.run import RunDirectory
from heads.workflows.answers.external import read_new
from heads.workflows.answers.findings import findings
from heads.workflows.answers.output import (
    clips_of_template,
    read_template,
    require_writable,
    write_predictions,
    write_table,
)
from heads.workflows.answers.predict import Origin, predict_run
from heads.workflows.exports.registry import ExportOptions, export
from heads.workflows.timing import Timing, timing_of
from store import FeatureStore, Status
from store.console import print_json, stderr_console
from store.ids import counted, name_a_few


def predict(
    run: RunDirectory,
    store_root: Path,
    out: Path,
    *,
    template_path: Path | None,
    added: Sequence[Path],
    explain: bool,
    only_new: bool,
    as_json: bool,
    id_map: Sequence[str] = (),
    findings_path: Path | None = None,
    sites: Path | None = None,
    site_pattern: str | None = None,
    mapping_path: Path | None = None,
    options: ExportOptions | None = None,
    timed_by: TimeSource = NO_TIMES,
) -> None:
    """Predict a store's clips, or those of a template, into a file, and what they are said to show into another."""
    options = ExportOptions() if options is None else options
    chosen = options.chosen()
    require_writable(out) if chosen is None else chosen.require(out)
    if chosen is not None and (explain or template_path is not None):
        raise PredictionError(f"--format {options.format} has no place for --template or --explain; leave them out")
    if findings_path is not None:
        require_writable(findings_path)
    rules = parse_id_map(id_map)
    template = None if template_path is None else read_template(template_path)
    mapping = None if mapping_path is None else read_mapping(mapping_path)
    read = [read_new(run, path, mapping) for path in added]
    outside = [each for each, _ in read]
    store = FeatureStore.open(store_root)
    require_fitting(rules, _ids_of_tables(template, outside), "the tables")
    wanted = None if template is None else clips_of_template(template, store.clips().index, rules)
    for sentence in (*(note for _, notes in read for note in notes), *(() if wanted is None else wanted.notes)):
        stderr_console().print(sentence, highlight=False, soft_wrap=True)
    explainer = explaining_head(run) if explain else None
    outside = [each.renamed({name: apply_rules(name, rules) for name in each.ids}, ()) for each in outside]
    facts = store.clips()
    places, place_notes = places_of(facts.index, sites=sites, site_pattern=site_pattern, id_map=rules)
    places = {**run.read_labels().known_sites, **places}

    def timed(ids: Sequence[str]) -> Timing:
        return timing_of(run, ids, facts, places, timed_by, rules)

    new = predict_run(run, store, None if wanted is None else wanted.ids, outside, sites=places, timed=timed)
    if only_new:
        new = new.only(Origin.NEW)
    frames = None if explainer is None else top_frames(run, store, explainer, new.predictions.ids)
    timing = timed(new.predictions.ids)
    new, notes = new.with_events(timing.events), (*place_notes, *new.notes, *timing.notes)
    if chosen is None:
        write_predictions(out, new, template, frames)
    else:
        notes = (*notes, *export(out, chosen, options, run, store, new, places, timing, added))
    for sentence in notes:
        stderr_console().print(sentence, highlight=False, soft_wrap=True)
    if findings_path is not None:
        times = {str(clip_id): str(when) for clip_id, when in facts["recorded_at"].items()}
        times |= {clip_id: when.isoformat(sep=" ") for clip_id, when in timing.stated.items()}
        table = findings(run, new, places, times)
        write_table(findings_path, table)
    counts, origins = (Counter(each.value for each in column) for column in (new.status, new.origin))
    if as_json:
        print_json({"out": str(out), "clips": len(new.status), "statuses": dict(counts), "origins": dict(origins)})
        return
    print(f"{counted(len(new.status), 'clip')} predicted into {out}")
    if findings_path is not None:
        print(f"what they are said to show, and whether to believe it: {findings_path}")
    guessed = new.origin.count(Origin.GUESSED)
    if guessed:
        stderr_console().print(
            f"{guessed} of them were given to the run without labels, and every model may have learned from them by "
            "its own guesses (column origin)",
            highlight=False,
            soft_wrap=True,
        )
    rows = zip(new.predictions.ids, new.origin, strict=True)
    known = [clip_id for clip_id, each in rows if each is Origin.OUT_OF_FOLD]
    if known:
        where = "see column origin" if template is None else name_a_few(known)
        how_many = "all" if len(known) == len(new.origin) else f"{len(known)}"
        stderr_console().print(
            f"the run learned from {how_many} of them: these have the answers of models that did not ({where}); only "
            "those of new clips say how it does on what comes",
            highlight=False,
            soft_wrap=True,
        )
    failed = [clip_id for clip_id, each in zip(new.predictions.ids, new.status, strict=True) if each is Status.FAILED]
    if failed:
        where = "see column status" if template is None else name_a_few(failed)
        stderr_console().print(
            f"{len(failed)} of them could not be decoded and got the training prior: {where}",
            highlight=False,
            soft_wrap=True,
        )


def _ids_of_tables(template: TextTable | None, outside: Sequence[Predictions]) -> list[str]:
    return [*(() if template is None else template.clip_ids()), *(name for each in outside for name in each.ids)]
