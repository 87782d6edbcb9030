"""What `heads labels` does: other programs' labels, told and written as tables of ours."""

from collections import Counter
from pathlib import Path

import pandas as pd
from rich.table import Table

from heads.data.labels import Labelled
from heads.data.reading.label_formats import about_format, candidate_columns, read_labels
from heads.data.reading.mapping import read_mapping, write_draft
from heads.errors import LabelError
from store.console import print_json, stderr_console, stdout_console
from store.files import atomic_path
from store.ids import counted, name_a_few


def convert(
    given: Path,
    *,
    out: Path | None,
    sites_out: Path | None,
    mapping_path: Path | None,
    draft: Path | None,
    machine: bool,
    as_json: bool,
) -> None:
    """Read labels, say what they hold, and write what is asked for."""
    for path in (out, sites_out):
        if path is not None:
            _require_elsewhere(path, given, mapping_path)
    mapping = None if mapping_path is None else read_mapping(mapping_path)
    try:
        found = read_labels(given, mapping, machine=machine)
    except LabelError:
        columns = candidate_columns(given) if draft is not None and out is None and given.exists() else {}
        if draft is None or not columns:
            raise
        names = write_draft(draft, None, columns)
        print(f"{draft}: {counted(names, 'name')} of {counted(len(columns), 'column')}; keep the rows of the right one")
        return
    notes = found.notes
    if not any("read as" in note for note in notes):
        notes = (f"{given.name}: read as {about_format(given)}: {counted(len(found.labels.ids), 'clip')}", *notes)
    if found.parts:
        parts = name_a_few(sorted(set(found.parts.values())))
        notes = (*notes, f"{given.name}: a column 'split' with {parts}, which are folds only with --split given")
    for sentence in notes:
        stderr_console().print(sentence, highlight=False, soft_wrap=True)
    if sites_out is not None and not found.sites:
        raise LabelError(f"{given.name}: it tells no sites, so that there is nothing to write to {sites_out.name}")
    if draft is not None:
        write_draft(draft, found.labels, {})
    if out is not None:
        _write(out, found.labels.to_frame())
    if sites_out is not None:
        _write(sites_out, pd.DataFrame({"filename": list(found.sites), "site": list(found.sites.values())}))
    if as_json:
        print_json(
            {
                "clips": len(found.labels.ids),
                "classes": _counts(found),
                "sites": len(set(found.sites.values())),
                "notes": list(notes),
            }
        )
        return
    _show(found)
    for path in (out, sites_out, draft):
        if path is not None:
            print(f"written: {path}")


def _require_elsewhere(path: Path, *read: Path | None) -> None:
    """Raise LabelError where writing to `path` would change what is read, or where there is no folder for it."""
    if any(each is not None and each.exists() and path.resolve() == each.resolve() for each in read):
        raise LabelError(f"{path}: is what is read; name another file to write")
    if path.is_dir() or not path.parent.is_dir():
        raise LabelError(f"{path}: is a folder, or in one that is not there; name a file to write in a folder that is")


def _write(path: Path, table: pd.DataFrame) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def _counts(found: Labelled) -> dict[str, int]:
    return dict(zip(found.labels.classes, found.labels.values.sum(axis=0, dtype=int).tolist(), strict=True))


def _show(found: Labelled) -> None:
    """A line a class, the most frequent first, with the sites that have it."""
    labels = found.labels
    table = Table(box=None, pad_edge=False)
    table.add_column("class")
    table.add_column("clips", justify="right")
    table.add_column("sites", justify="right")
    for name, count in Counter(_counts(found)).most_common():
        shown = labels.values[:, labels.classes.index(name)] == 1
        sites = "" if labels.sites is None else str(len({labels.sites[row] for row in shown.nonzero()[0]}))
        table.add_row(name, str(count), sites)
    stdout_console().print(table)
    print(f"{counted(len(labels.ids), 'clip')} with labels")
