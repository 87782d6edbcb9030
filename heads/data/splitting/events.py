"""Events: clips of one place that follow each other closely, and the past and future of each place.

An animal that stays before a camera sets it off again and again. The clips of one visit look alike, so that no two
folds may share them, and many questions are about visits rather than clips.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heads.data.labels import BLANK, LabelTable
from heads.data.predictions import Predictions
from heads.data.splitting.duplicates import ImageSummary, copies_across
from heads.data.splitting.folds import Folds
from heads.errors import FoldError, LabelError

Times = Mapping[str, datetime]
USUAL_GAP = timedelta(minutes=30)
FUTURE_SHARE = 0.3  # of each place's clips, the latest ones
PAST, FUTURE = 0, 1
_UNITS = {"s": "seconds", "sec": "seconds", "min": "minutes", "h": "hours", "d": "days"}
_GAP = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|sec|min|h|d)\s*")
_NAMED_TO = "%Y-%m-%d %H:%M:%S"


def parse_gap(text: str) -> timedelta:
    """A length of time such as `30min`, `90s`, `2h` or `1d`.

    Raises:
        LabelError: it is none, or not above 0.
    """
    found = _GAP.fullmatch(text)
    gap = timedelta(**{_UNITS[found[2]]: float(found[1])}) if found else timedelta(0)
    if gap <= timedelta(0):
        raise LabelError(f"--event-gap '{text}': expected a number above 0 with s, min, h or d, such as 30min")
    return gap


def find_events(times: Times, sites: Mapping[str, str], gap: timedelta) -> dict[str, str]:
    """The event of each clip: clips of one place of which each begins at most `gap` after the one before it.

    Args:
        times: when each clip begins, all on one clock.
        sites: the place of each clip; the folder of a clip that has none stands for it.
        gap: the longest time between two clips of one event.

    Returns:
        For each clip of `times` the event's name: the place, and when its first clip begins.
    """
    events: dict[str, str] = {}
    name, place, before = "", "", datetime.min
    for clip_id, where in _in_order(times, sites):
        now = times[clip_id]
        if not name or where != place or now - before > gap:
            name = f"{where} {now.strftime(_NAMED_TO)}".strip()
        events[clip_id], place, before = name, where, now
    return events


def place_of(clip_id: str, sites: Mapping[str, str]) -> str:
    """The site of a clip, or its folder where that is not known."""
    return sites.get(clip_id) or clip_id.rpartition("/")[0]


def _in_order(times: Times, sites: Mapping[str, str]) -> list[tuple[str, str]]:
    """Clips with their places: place by place, each in the order of time."""
    places = [(clip_id, place_of(clip_id, sites)) for clip_id in times]
    return sorted(places, key=lambda each: (each[1], times[each[0]], each[0]))


def past_and_future(labels: LabelTable, times: Times, events: Mapping[str, str], facts: pd.DataFrame) -> Folds:
    """The clips of each place in two folds: PAST, and FUTURE, the latest FUTURE_SHARE of them.

    An event stays on one side, and a copy of a clip of the past is of the past. Clips whose time is not known are in
    neither.

    Args:
        labels: the labelled clips.
        times: when each clip begins.
        events: of each clip in `times`.
        facts: the clip table.

    Raises:
        FoldError: no place has clips of two events, so that nothing is left to score.
    """
    sites, labelled = labels.known_sites, set(labels.ids)
    order = _in_order({clip_id: when for clip_id, when in times.items() if clip_id in labelled}, sites)
    fold: dict[str, int] = {}
    for _, clips in groupby(order, key=lambda each: each[1]):
        own = [clip_id for clip_id, _ in clips]
        cut = next(
            (row for row in range(_first_of_future(len(own)), len(own)) if events[own[row]] != events[own[row - 1]]),
            len(own),
        )
        fold |= {clip_id: PAST if row < cut else FUTURE for row, clip_id in enumerate(own)}
    ids = tuple(clip_id for clip_id in labels.ids if clip_id in fold)
    if ids:
        sides = [str(fold[clip_id]) for clip_id in ids]
        looks = ImageSummary.from_clip_table(facts, ids)
        for rows in copies_across(sides, facts.loc[list(ids), "fingerprint"].tolist(), looks):
            fold |= {ids[row]: PAST for row in rows}
    if FUTURE not in fold.values():
        raise FoldError(
            "--split time: no place has clips of two events whose times are known, so that there is no future to "
            "score; give capture times with --times or --time-pattern, or leave it out"
        )
    numbers = np.array([fold[clip_id] for clip_id in ids], np.int64)
    return Folds(ids=ids, fold=numbers, groups=tuple(place_of(clip_id, sites) for clip_id in ids), n_folds=2)


def _first_of_future(count: int) -> int:
    """The row from which on clips of a place are its future; never the first, since something must be learned from."""
    return max(1, round((1 - FUTURE_SHARE) * count))


def labels_of_events(labels: LabelTable, events: Mapping[str, str]) -> LabelTable:
    """A row an event: the classes that any of its clips shows; BLANK if all of them are."""
    ids = [clip_id for clip_id in labels.ids if clip_id in events]
    names, unit = _units(ids, events)
    values = _over_units(labels.select(ids).values, unit, len(names), labels.classes)
    return LabelTable(ids=names, classes=labels.classes, values=values, sites=None, origin=labels.origin)


def predictions_of_events(predictions: Predictions, events: Mapping[str, str]) -> Predictions:
    """A row an event: the highest probability of each class among its clips, the lowest of BLANK."""
    ids = [clip_id for clip_id in predictions.ids if clip_id in events]
    names, unit = _units(ids, events)
    values = _over_units(predictions.select(ids).probabilities, unit, len(names), predictions.classes)
    return replace(predictions, ids=names, probabilities=values, fold=None)


def folds_of_events(folds: Folds, events: Mapping[str, str]) -> Folds:
    """The fold and group of each event, those of its first clip: events are not split over folds."""
    ids = [clip_id for clip_id in folds.ids if clip_id in events]
    names, unit = _units(ids, events)
    first = [ids[row] for row in np.unique(unit, return_index=True)[1].tolist()]
    return Folds(ids=names, fold=folds.of(first), groups=folds.group_of(first), n_folds=folds.n_folds)


def _over_units(
    values: NDArray[np.number], unit: NDArray[np.int64], count: int, classes: Sequence[str]
) -> NDArray[Any]:
    """(count, C) the largest of each unit's rows of `values` (N, C); the least of BLANK, which all of them must be."""
    found = np.zeros((count, len(classes)), values.dtype)
    np.maximum.at(found, unit, values)
    if BLANK in classes:
        blank = classes.index(BLANK)
        least = found[:, blank].copy()
        np.minimum.at(least, unit, values[:, blank])
        found[:, blank] = least
    return found


def _units(ids: Iterable[str], events: Mapping[str, str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The names of the events of some clips, and the place of each clip's among them."""
    of_clips = [events[clip_id] for clip_id in ids]
    names = tuple(dict.fromkeys(of_clips))
    place = {name: number for number, name in enumerate(names)}
    return names, np.array([place[name] for name in of_clips], np.int64)
