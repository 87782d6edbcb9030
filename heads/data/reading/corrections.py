"""Corrections: what clips really show, filled into a list that the report gave, or decided while looking at them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from heads.data.class_names import known_class
from heads.data.decisions import decide_labels, is_decision_log, read_decisions
from heads.data.labels import LabelTable
from heads.data.matching import IdRule, match_clips
from heads.data.tables import TextTable, quoted, read_table, tidy
from heads.errors import LabelError
from store.ids import counted, name_a_few

CORRECT = "correct"
BETWEEN = ";"
UNSURE = "?"


def correct_labels(
    labels: LabelTable,
    paths: Sequence[Path],
    rules: Sequence[IdRule] = (),
    *,
    known: Collection[str] = (),
    sites: Mapping[str, str] | None = None,
) -> tuple[LabelTable, list[str]]:
    """Labels with the corrections of some tables, the later ones last, and a sentence on each table.

    A table has a column of clips and a column `correct`: the class, or several with semicolons between them; `?` leaves
    the clip out, and an empty cell says nothing. Other columns are ignored. A log of decisions takes the place of a
    table; only such a log may name clips that have no label yet.

    Args:
        labels: as they were.
        paths: the tables and logs.
        rules: how ids of the tables become those of clips.
        known: the clips that there are, for logs.
        sites: the site of each clip, as far as it is known, for logs.

    Raises:
        DecisionError: the labels have sites, and a clip that was decided has none.
        LabelError: a table is not what it should be, a class or a clip in it is unknown, or it has a clip twice.
    """
    notes: list[str] = []
    for path in paths:
        if is_decision_log(path):
            decisions = read_decisions(path)
            labels, found = decide_labels(labels, decisions, path.name, known, sites or {})
            notes += decisions.notes
        else:
            labels, found = _correct(labels, read_table(path), rules)
        notes += found
    return labels, notes


def _correct(labels: LabelTable, table: TextTable, rules: Sequence[IdRule]) -> tuple[LabelTable, list[str]]:
    if CORRECT not in table.columns:
        raise LabelError(
            f"{table.name}: there is no column '{CORRECT}', found {quoted(table.columns)}; name it in the first line"
        )
    matches = match_clips(table.clip_ids(), labels.ids, table.name, rules)
    ids = [matches.rename(clip_id) for clip_id in table.clip_ids()]
    filled = [
        (line, clip_id, cell)
        for line, clip_id, cell in zip(table.lines, ids, table.names(CORRECT), strict=True)
        if cell
    ]
    table.require_single_rows([(clip_id,) for clip_id in ids])
    row_of = {clip_id: row for row, clip_id in enumerate(labels.ids)}
    strangers = [clip_id for _, clip_id, _ in filled if clip_id not in row_of]
    if strangers:
        raise LabelError(
            f"{table.name}: {counted(len(strangers), 'clip', 'have')} no label to "
            f"correct in {labels.origin}: "
            f"{name_a_few(strangers)}; add them there"
        )
    values, kept, changed = labels.values.copy(), np.ones(len(labels.ids), bool), 0
    for line, clip_id, cell in filled:
        row = row_of[clip_id]
        if cell == UNSURE:
            kept[row] = False
            continue
        new = _row(cell, labels, f"{table.name}, line {line}, clip '{clip_id}'")
        changed += not np.array_equal(new, values[row])
        values[row] = new
    corrected = replace(labels, values=values).select(
        [name for name, keep in zip(labels.ids, kept, strict=True) if keep]
    )
    out = "" if kept.all() else f", {counted(int((~kept).sum()), 'clip')} left out"
    empty = len(ids) - len(filled)
    note = f"{table.name}: {counted(changed, 'label')} corrected{out}; {counted(empty, 'row', 'are')} not filled in"
    return corrected, [*matches.notes, note]


def _row(cell: str, labels: LabelTable, where: str) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """The labels (C,) that a cell says."""
    row = np.zeros(len(labels.classes), np.uint8)
    for name in (known_class(tidy(part), labels.classes) for part in cell.split(BETWEEN)):
        if name not in labels.classes:
            near = get_close_matches(name, labels.classes, n=1)
            meant = f"did you mean '{near[0]}'?" if near else f"there are {quoted(labels.classes)}."
            raise LabelError(
                f"{where}: '{name}' is no class of {labels.origin}; {meant} Several classes take semicolons between "
                f"them, and '{UNSURE}' leaves the clip out"
            )
        row[labels.classes.index(name)] = 1
    return row
