"""When clips that a run answers for were taken, and which of them make one event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pandas as pd

from heads.data.events import find_events
from heads.data.matching import IdRule
from heads.data.reading.capture_times import (
    NO_TIMES,
    TimeSource,
    capture_times,
    on_one_clock,
    parse_zone,
    times_of_files,
)
from heads.errors import LabelError
from heads.run import RunDirectory


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Times and events of clips.

    Attributes:
        stated: when each clip was taken, as far as known, with its zone if one is stated.
        events: the event of each clip whose time is known; empty if nobody asked for events.
        notes: what the user should know, a sentence each.
    """

    stated: Mapping[str, datetime] = field(default_factory=dict)
    events: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def timing_of(
    run: RunDirectory,
    ids: Sequence[str],
    facts: pd.DataFrame,
    sites: Mapping[str, str],
    source: TimeSource = NO_TIMES,
    id_map: Sequence[IdRule] = (),
) -> Timing:
    """The times and events of clips, by what the user says, else by what the run was trained with.

    Args:
        run: whose settings hold where the user says nothing; of its own clips it knows times and keeps their events.
        ids: the clips.
        facts: the clip table, with the column `recorded_at`; it may lack clips.
        sites: the site of each clip, as far as known.
        source: what the user says.
        id_map: how ids of the table become clips', where that is not to be found out.

    Raises:
        LabelError: the user asks for times, and the table or the pattern is not what it should be, or times cannot be
            compared.
    """
    kept, of_run = run.read_event_settings(), run.read_times()
    gap_s = kept.get("event_gap_s")
    asked = replace(
        source,
        pattern=source.pattern or (kept.get("time_pattern") if source.table is None else None),
        zone=source.zone or kept.get("time_zone"),
        event_gap=source.event_gap or (None if gap_s is None else timedelta(seconds=gap_s)),
    )
    try:
        return _timed(ids, facts, sites, asked, of_run, id_map, own=source.table is None and source.pattern is None)
    except LabelError as error:
        if source.is_given:
            raise
        # The run's settings do not fit these clips, which can be answered for all the same.
        return Timing(stated=times_of_files(ids, facts), notes=(f"events of clips are not told: {error}",))


def _timed(
    ids: Sequence[str],
    facts: pd.DataFrame,
    sites: Mapping[str, str],
    asked: TimeSource,
    of_run: Mapping[str, datetime],
    id_map: Sequence[IdRule],
    *,
    own: bool,
) -> Timing:
    """The times and events of clips; with `own`, those that the run knows are as it knows them."""
    known = {clip_id: of_run[clip_id] for clip_id in ids if clip_id in of_run} if own else {}
    others = [clip_id for clip_id in ids if clip_id not in known]
    notes: tuple[str, ...] = ()
    wanted = asked.table is not None or asked.pattern is not None or (asked.event_gap is not None and not known)
    if wanted and others:
        found = capture_times(others, facts, asked, id_map)
        stated, notes = {**found.stated, **known}, found.notes
    else:
        stated = {**times_of_files(others, facts), **known}
    if asked.event_gap is None:
        return Timing(stated=stated, notes=notes)
    events = find_events(on_one_clock(stated, parse_zone(asked.zone)), sites, asked.event_gap)
    return Timing(stated=stated, events=events, notes=notes)
