"""When clips that a run answers for were taken, and which of them make one event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from heads.data.matching import IdRule
from heads.data.reading.capture_times import (
    NO_TIMES,
    TimeSource,
    capture_times,
    on_one_clock,
    parse_zone,
    times_of_files,
)
from heads.data.splitting.events import find_events
from heads.errors import LabelError
from heads.run import RunDirectory


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Times and events of clips.

    Attributes:
        stated: when each clip was taken, as far as known, with its zone if one is stated.
        clock: the same times on one clock, without zones; empty where no events are made.
        events: the event of each clip whose time is known; empty if nobody asked for events.
        gap: the longest time between clips of one event; None where no events are made.
        notes: what the user should know, a sentence each.
    """

    stated: Mapping[str, datetime] = field(default_factory=dict)
    clock: Mapping[str, datetime] = field(default_factory=dict)
    events: Mapping[str, str] = field(default_factory=dict)
    gap: timedelta | None = None
    notes: tuple[str, ...] = ()


def settings_of(source: TimeSource) -> dict[str, Any]:
    """What a run keeps of how times and events were found out, as `source_of` reads it back."""
    gap = source.event_gap
    return {
        "event_gap_s": None if gap is None else gap.total_seconds(),
        "time_pattern": source.pattern,
        "time_zone": source.zone,
    }


def source_of(run: RunDirectory | None) -> TimeSource:
    """What was said of times and events when a run was begun; nothing before the first."""
    kept = {} if run is None else run.read_event_settings()
    gap_s = kept.get("event_gap_s")
    return TimeSource(
        pattern=kept.get("time_pattern"),
        zone=kept.get("time_zone"),
        event_gap=None if gap_s is None else timedelta(seconds=gap_s),
    )


def clock_of(run: RunDirectory) -> tuple[dict[str, datetime], tuple[str, ...]]:
    """When a run's own clips were taken, all on one clock, and why that cannot be told, where it cannot."""
    return clock_in(Timing(stated=run.read_times()), run)


def clock_in(timing: Timing, run: RunDirectory) -> tuple[dict[str, datetime], tuple[str, ...]]:
    """The times of clips, all on one clock, and why that cannot be told, where it cannot."""
    if timing.clock:
        return dict(timing.clock), ()
    try:
        return on_one_clock(timing.stated, parse_zone(source_of(run).zone)), ()
    except LabelError as error:
        return {}, (f"which clips follow each other is not told: {error}",)


def timing_of(
    run: RunDirectory | None,
    ids: Sequence[str],
    facts: pd.DataFrame,
    sites: Mapping[str, str],
    source: TimeSource = NO_TIMES,
    id_map: Sequence[IdRule] = (),
    *,
    usual_gap: timedelta | None = None,
) -> Timing:
    """The times and events of clips, by what the user says, else by what the run was trained with.

    Args:
        run: whose settings hold where the user says nothing, and which knows the times of its own clips; None before
            the first.
        ids: the clips.
        facts: the clip table, with the column `recorded_at`; it may lack clips.
        sites: the site of each clip, as far as known.
        source: what the user says.
        id_map: how ids of the table become clips', where that is not to be found out.
        usual_gap: makes events where times are known and nobody says how close clips of one are.

    Raises:
        LabelError: the user asks for times, and the table or the pattern is not what it should be, or times cannot be
            compared.
    """
    kept, of_run = source_of(run), {} if run is None else run.read_times()
    asked = replace(
        source,
        pattern=source.pattern or (kept.pattern if source.table is None else None),
        zone=source.zone or kept.zone,
        event_gap=source.event_gap or kept.event_gap,
    )
    own = source.table is None and source.pattern is None
    known = {clip_id: of_run[clip_id] for clip_id in ids if clip_id in of_run} if own else {}
    try:
        return _timed(ids, facts, sites, asked, known, id_map, usual_gap)
    except LabelError as error:
        if source.is_given:
            raise
        # The run's settings, or the files' clocks, do not fit these clips, which can be answered for all the same.
        return Timing(stated=times_of_files(ids, facts), notes=(f"events of clips are not told: {error}",))


def _timed(
    ids: Sequence[str],
    facts: pd.DataFrame,
    sites: Mapping[str, str],
    asked: TimeSource,
    known: Mapping[str, datetime],
    id_map: Sequence[IdRule],
    usual_gap: timedelta | None,
) -> Timing:
    """The times and events of clips, of which some times are known already."""
    others = [clip_id for clip_id in ids if clip_id not in known]
    notes: tuple[str, ...] = ()
    if others and (asked.table or asked.pattern or (asked.event_gap is not None and not known)):
        found = capture_times(others, facts, asked, id_map)
        stated, notes = {**found.stated, **known}, found.notes
    else:
        stated = {**times_of_files(others, facts), **known}
    gap = asked.event_gap or usual_gap
    if gap is None or not stated:
        return Timing(stated=stated, notes=notes)
    clock = on_one_clock(stated, parse_zone(asked.zone))
    return Timing(stated=stated, clock=clock, events=find_events(clock, sites, gap), gap=gap, notes=notes)
