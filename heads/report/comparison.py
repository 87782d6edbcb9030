"""Two runs side by side, on the clips that they share: what changed, and which answers turned."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from heads.data.labels import LabelTable, in_words
from heads.data.predictions import Predictions
from heads.errors import RunError
from heads.evaluation.comparison import Difference, compare_models
from heads.report.run_facts import RunFacts, read_run
from heads.report.tables.cells import Row, Table, Tone, change, columns, number, text
from heads.run import RunDirectory
from store.ids import counted

_LISTED = 200
_OUTCOMES = {(False, True): "right now", (True, False): "wrong now", (False, False): "still wrong"}


@dataclass(frozen=True, kw_only=True)
class Turned:
    """A clip whose most probable class is another one in the second run.

    Attributes:
        clip_id: the clip.
        labelled: its labels.
        first: the class and its probability in the first run.
        second: the class and its probability in the second run.
        outcome: `right now`, `wrong now`, or `still wrong`; `right both` where both classes are labelled.
    """

    clip_id: str
    labelled: str
    first: tuple[str, float]
    second: tuple[str, float]
    outcome: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two runs on the clips that they share, scored by the labels of the second.

    Attributes:
        first: name of the first run.
        second: name of the second run.
        differences: all classes together, then each.
        turned: the clips whose most probable class changed, those that became wrong first.
        outcomes: how many there are of each outcome.
        notes: what the two runs do not share, a sentence each.
        settings: (setting, in the first, in the second) of each that differs.
        units: what intervals take as independent: `sites`, or `clips` where sites are not known.
    """

    first: str
    second: str
    differences: list[Difference]
    turned: list[Turned]
    outcomes: Mapping[str, int]
    notes: list[str]
    settings: list[tuple[str, str, str]]
    units: str


def compare_runs(first: RunDirectory, second: RunDirectory) -> Comparison:
    """Compare two blended runs.

    Raises:
        RunError: one is not blended, or they share no clip or no class.
    """
    one, two = read_run(first), read_run(second)
    have = set(one.blend.ids)
    ids = [clip_id for clip_id in two.blend.ids if clip_id in have]
    classes = [name for name in two.blend.classes if name in one.blend.classes]
    if not ids or not classes:
        what = "clip" if not ids else "class"
        raise RunError(f"{first.path} and {second.path} share no {what}, so there is nothing to compare")
    labels = two.labels.select(ids).only(classes)
    said = [_answers(facts, ids, classes) for facts in (one, two)]
    groups = two.folds.group_of(ids)
    turned = _turned(labels, *said)
    return Comparison(
        first=one.name,
        second=two.name,
        differences=compare_models(labels.values, said[0].probabilities, said[1].probabilities, groups, classes),
        turned=turned,
        outcomes=dict(Counter(each.outcome for each in turned)),
        notes=_notes(one, two, labels),
        settings=list(_settings(one.config, two.config)),
        units=two.units,
    )


def sentences_on(found: Comparison) -> list[str]:
    """What changed, in words."""
    whole = found.differences[0]
    much = f"{100 * abs(whole.change) / whole.first:.1f} %"
    chance = f"{'not ' if whole.verdict == 'not sure' else ''}more than chance among {found.units} would give"
    better = f"{'lower' if whole.change < 0 else 'higher'} by {much}, {chance}" if whole.change else "the same"
    told = {use: [each.name for each in found.differences[1:] if each.verdict == use] for use in ("better", "worse")}
    turned = "; ".join(f"{count:,} {outcome}" for outcome, count in sorted(found.outcomes.items()))
    return [
        f"The mean log loss of {found.second} is {whole.second:.4f}, of {found.first} {whole.first:.4f}: {better}.",
        *(f"{use.capitalize()}: {', '.join(names)}." for use, names in told.items() if names),
        f"The most probable class changed for {counted(len(found.turned), 'clip')}{f' ({turned})' if turned else ''}.",
        *found.notes,
    ]


def comparison_json(found: Comparison) -> dict[str, Any]:
    """A comparison as JSON values; a number that cannot be had is null."""
    return {
        "first": found.first,
        "second": found.second,
        "differences": [
            {
                **{
                    name: None if isinstance(value, float) and math.isnan(value) else value
                    for name, value in asdict(each).items()
                },
                "change": each.change,
                "verdict": each.verdict,
            }
            for each in found.differences
        ],
        "turned": [asdict(each) for each in found.turned],
        "outcomes": dict(found.outcomes),
        "notes": found.notes,
        "settings": [{"setting": name, "first": one, "second": two} for name, one, two in found.settings],
    }


def difference_table(found: Comparison) -> Table:
    """A row a class, all together first."""
    tones: dict[str, Tone] = {"better": "good", "worse": "bad"}
    rows = tuple(
        Row(
            cells=(
                text(each.name or "all"),
                number(each.clips),
                number(each.first, 4),
                number(each.second, 4),
                change(each.change),
                text("–" if np.isnan(each.low) else f"{each.low:+.4f} to {each.high:+.4f}", tone="quiet"),
                text(each.verdict, tone=tones.get(each.verdict, "quiet")),
                number(each.first_ap, 3),
                number(each.second_ap, 3),
            ),
            mark="chosen" if not each.name else "",
        )
        for each in found.differences
    )
    return Table(
        key="differences",
        caption="Class by class",
        columns=columns(
            ("Class", "", "text"),
            ("Clips", "Labelled clips that show it, among those of both runs", "number"),
            (found.first, "Log loss of the first run's blend", "number"),
            (found.second, "Log loss of the second run's blend", "number"),
            ("Change", "Second minus first; less is better", "number"),
            ("95 % interval", f"Of the change, with {found.units} as the units", "text"),
            ("Verdict", "Not sure: the interval holds zero", "text"),
            ("AP before", "Average precision in the first run", "number"),
            ("AP after", "Average precision in the second run", "number"),
        ),
        rows=rows,
        filter_label="Filter classes",
    )


def turned_table(found: Comparison) -> Table:
    """The clips whose most probable class changed."""
    tones: dict[str, Tone] = {"right now": "good", "wrong now": "bad"}
    rows = tuple(
        Row(
            cells=(
                text(each.clip_id),
                text(each.labelled),
                text(f"{each.first[0]} {each.first[1]:.2f}"),
                text(f"{each.second[0]} {each.second[1]:.2f}"),
                text(each.outcome, tone=tones.get(each.outcome, "quiet")),
            )
        )
        for each in found.turned[:_LISTED]
    )
    left = len(found.turned) - len(rows)
    return Table(
        key="turned",
        caption=f"{counted(len(found.turned), 'clip')} with another most probable class",
        columns=columns(
            ("Clip", "", "text"),
            ("Labelled", "In the second run", "text"),
            (found.first, "Most probable class in the first run", "text"),
            (found.second, "Most probable class in the second run", "text"),
            ("Outcome", "", "text"),
        ),
        rows=rows,
        filter_label="Filter clips",
        note=f"{left:,} further ones are in the JSON." if left else "",
    )


def settings_table(found: Comparison) -> Table | None:
    """The settings that differ; None if none does."""
    if not found.settings:
        return None
    return Table(
        key="settings",
        caption="Settings that differ",
        columns=columns(("Setting", "", "text"), (found.first, "", "text"), (found.second, "", "text")),
        rows=tuple(Row(cells=tuple(text(each) for each in row)) for row in found.settings),
    )


def _answers(facts: RunFacts, ids: list[str], classes: list[str]) -> Predictions:
    return facts.blend.select(ids).only(classes)


def _turned(labels: LabelTable, first: Predictions, second: Predictions) -> list[Turned]:
    tops = [each.probabilities.argmax(axis=1) for each in (first, second)]
    order = ("wrong now", "right now", "still wrong", "right both")
    found = []
    for row in np.flatnonzero(tops[0] != tops[1]).tolist():
        right = [bool(labels.values[row, top[row]]) for top in tops]
        said = [
            (labels.classes[top[row]], float(each.probabilities[row, top[row]]))
            for top, each in zip(tops, (first, second), strict=True)
        ]
        found.append(
            Turned(
                clip_id=labels.ids[row],
                labelled=in_words(labels.classes, labels.values[row]),
                first=said[0],
                second=said[1],
                outcome="right both" if all(right) else _OUTCOMES[right[0], right[1]],
            )
        )
    return sorted(found, key=lambda each: (order.index(each.outcome), -each.second[1]))


def _notes(one: RunFacts, two: RunFacts, labels: LabelTable) -> list[str]:
    before = one.labels.select(labels.ids).only(labels.classes)
    other = int((before.values != labels.values).any(axis=1).sum())
    notes = [f"{len(labels.ids):,} clips and {len(labels.classes)} classes are in both runs."]
    counts = (
        (one.name, len(one.blend.ids), len(labels.ids), "clips"),
        (two.name, len(two.blend.ids), len(labels.ids), "clips"),
        (one.name, len(one.blend.classes), len(labels.classes), "classes"),
        (two.name, len(two.blend.classes), len(labels.classes), "classes"),
    )
    for name, number_own, shared, what in counts:
        if number_own > shared:
            notes.append(f"{number_own - shared:,} {what} of {name} are not in the other run, and left out.")
    if other:
        notes.append(f"{counted(other, 'clip', 'have')} other labels in {two.name}; both runs are scored by these.")
    if (one.folds.of(labels.ids) != two.folds.of(labels.ids)).any():
        notes.append(
            "The runs have other folds, so that a part of each difference is that other clips were learned from."
        )
    for facts, against in ((one, two), (two, one)):
        own = {each.model for each in facts.oof} - {each.model for each in against.oof}
        if own:
            notes.append(f"Only {facts.name} has {', '.join(sorted(own))}.")
    return notes


def _settings(one: Mapping[str, Any], two: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The settings of two recipes that differ, by name."""
    first, second = (dict(_flat(config.get("recipe", {}), "")) for config in (one, two))
    for name in sorted({*first, *second}):
        values = [each.get(name, "not there") for each in (first, second)]
        if values[0] != values[1]:
            yield name, values[0], values[1]


def _flat(value: Any, prefix: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(item, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for place, item in enumerate(value, start=1):
            yield from _flat(item, f"{prefix} {place}")
    else:
        yield prefix, str(value)
