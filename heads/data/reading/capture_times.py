"""When clips were taken: as their files say, from a table, or by a pattern in their paths.

The clocks of cameras know no zone. Times that state one and times that do not are brought to one clock only if the zone
of the latter is given; of times that all are of one kind, only differences count.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd

from heads.data.matching import IdRule, match_clips
from heads.data.splitting.events import parse_gap
from heads.data.tables import TextTable, bare, is_empty, read_table, tidy
from heads.errors import LabelError
from store.ids import name_a_few

# Columns of tables, without case and without what stands between words; the first that is there counts.
_COLUMNS = (
    *("captured", "capturedat", "capturetime", "timestamp", "datetime", "datetimeoriginal", "recordedat"),
    *("eventstart", "time"),
)
_EXIF = "%Y:%m:%d %H:%M:%S"
_SHORTEST = len("2024-03-01T05:06")  # a date alone is no time
_EXAMPLE = "2024-03-01 05:06:07"
_DIRECTIVES = {
    "Y": r"\d{4}",
    "y": r"\d{2}",
    "m": r"\d{2}",
    "d": r"\d{2}",
    "j": r"\d{3}",
    "b": r"[A-Za-z]{3}",
    "H": r"\d{2}",
    "I": r"\d{2}",
    "p": r"[AaPp][Mm]",
    "M": r"\d{2}",
    "S": r"\d{2}",
    "z": r"(?:Z|[+-]\d{2}:?\d{2})",
}
_PARTS = re.compile(r"%(.?)|(\*)|([^%*]+)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class TimeSource:
    """What a user says of capture times and events.

    Attributes:
        table: a table of the time of each clip.
        pattern: how a time stands in a clip's path, as `strptime` reads it; a `*` is any text within a folder.
        zone: the zone that the cameras' clocks were set to, as `parse_zone` reads it.
        event_gap: the longest time between clips of one event; None if events were not asked for.
        needed: whether times are needed, though nothing is said of them: those of the clips' files are.
    """

    table: Path | None = None
    pattern: str | None = None
    zone: str | None = None
    event_gap: timedelta | None = None
    needed: bool = False

    @property
    def is_given(self) -> bool:
        """Whether times are asked for."""
        return self.needed or (self.table, self.pattern, self.event_gap) != (None, None, None)


NO_TIMES = TimeSource()


@dataclass(frozen=True, kw_only=True)
class CaptureTimes:
    """When clips were taken.

    Attributes:
        stated: of each clip whose time is known, with its zone if one is stated.
        notes: what the user should know, a sentence each.
    """

    stated: Mapping[str, datetime]
    notes: tuple[str, ...]


def read_source(table: Path | None, pattern: str | None, zone: str | None, gap: str | None) -> TimeSource:
    """What was said of times and events, in the words of the command line.

    Raises:
        LabelError: the zone is none, or the gap no length of time.
    """
    parse_zone(zone)
    return TimeSource(table=table, pattern=pattern, zone=zone, event_gap=None if gap is None else parse_gap(gap))


def capture_times(
    clips: Iterable[str], facts: pd.DataFrame, source: TimeSource, id_map: Sequence[IdRule] = ()
) -> CaptureTimes:
    """The times of clips, by the table that was given, else by the pattern, else as their files say.

    Args:
        clips: ids.
        facts: the clip table, with the column `recorded_at`; it may lack clips.
        source: what the user said.
        id_map: how ids of the table become clips', where that is not to be found out.

    Raises:
        LabelError: the table or the pattern is not what it should be, or tells the time of no clip.
    """
    known = list(clips)
    if source.table is not None and source.pattern is not None:
        raise LabelError("--times and --time-pattern both say when clips were taken; leave one out")
    notes: tuple[str, ...] = ()
    if source.table is not None:
        where = source.table.name
        stated, notes = _by_table(source.table, known, id_map)
    elif source.pattern is not None:
        where = "--time-pattern"
        stated = _by_pattern(known, source.pattern)
    else:
        where = "the clips' files"
        stated = times_of_files(known, facts)
    if not stated and known:
        raise LabelError(
            f"{where}: no time of any of the {len(known)} clips, such as '{known[0]}'; give a table of "
            "filename,captured by --times, or say how the time stands in their paths, such as --time-pattern "
            "%Y%m%d_%H%M%S"
        )
    without = [clip_id for clip_id in known if clip_id not in stated]
    if without:
        notes = (*notes, f"{where}: {len(without)} of {len(known)} clips have no time, such as {name_a_few(without)}")
    return CaptureTimes(stated=stated, notes=notes)


def times_of_files(clips: Iterable[str], facts: pd.DataFrame) -> dict[str, datetime]:
    """When clips were recorded, as far as their files say."""
    if "recorded_at" not in facts:
        return {}
    texts = dict(zip(map(str, facts.index), map(str, facts["recorded_at"]), strict=True))
    found = ((clip_id, parse_time(texts.get(clip_id, ""))) for clip_id in clips)
    return {clip_id: when for clip_id, when in found if when is not None}


def parse_time(text: str) -> datetime | None:
    """A date with a time of day, in the order of ISO 8601 or of EXIF; None if it is none."""
    told = tidy(text)
    if len(told) < _SHORTEST:
        return None
    try:
        return datetime.fromisoformat(told)
    except ValueError:
        pass
    try:
        return datetime.strptime(told, _EXIF)
    except ValueError:
        return None


def on_one_clock(stated: Mapping[str, datetime], zone: tzinfo | None) -> dict[str, datetime]:
    """Times without a zone, which can be compared: those of the cameras' clocks.

    Args:
        stated: times with or without a zone.
        zone: what clocks are set to. Without it, times that state a zone are told in UTC.

    Raises:
        LabelError: some state a zone and others do not, and no zone is given.
    """
    aware = [clip_id for clip_id, when in stated.items() if when.tzinfo is not None]
    if aware and len(aware) < len(stated) and zone is None:
        naive = next(clip_id for clip_id, when in stated.items() if when.tzinfo is None)
        raise LabelError(
            f"'{aware[0]}' has a time with a zone ({stated[aware[0]].isoformat()}) and '{naive}' one without "
            f"({stated[naive].isoformat()}); give the zone that the cameras were set to, such as --time-zone +02:00"
        )
    return {
        clip_id: when if when.tzinfo is None else when.astimezone(zone or UTC).replace(tzinfo=None)
        for clip_id, when in stated.items()
    }


def parse_zone(text: str | None) -> tzinfo | None:
    """A time zone by its name, or by its distance from UTC such as +02:00.

    Raises:
        LabelError: it is neither.
    """
    if text is None:
        return None
    try:
        if text[:1] in "+-" and text:
            hours, _, minutes = text[1:].partition(":")
            away = timedelta(hours=int(hours), minutes=int(minutes or 0))
            return timezone(-away if text[0] == "-" else away)
        return UTC if text.upper() in ("UTC", "Z") else ZoneInfo(text)
    except (ValueError, KeyError, OSError) as error:
        raise LabelError(
            f"--time-zone '{text}': expected a zone such as Europe/Berlin, UTC, or a distance such as +02:00"
        ) from error


def _by_table(
    path: Path, clips: Sequence[str], id_map: Sequence[IdRule]
) -> tuple[dict[str, datetime], tuple[str, ...]]:
    table = read_table(path)
    ids, texts = table.clip_ids(), _time_cells(table)
    table.require_single_rows([(clip_id,) for clip_id in ids])
    matches = match_clips(ids, clips, table.name, id_map)
    times: dict[str, datetime] = {}
    known = set(clips)
    for line, clip_id, text in zip(table.lines, ids, texts, strict=True):
        if is_empty(text):
            continue
        when = parse_time(text)
        if when is None:
            raise LabelError(
                f"{table.name}, line {line}, clip '{clip_id}': '{text}' is no time; write year, month, day and time of "
                f"day as in {_EXAMPLE}"
            )
        meant = matches.rename(clip_id)
        if meant in known:
            times[meant] = when
    return times, matches.notes


def _time_cells(table: TextTable) -> list[str]:
    """The cells that hold times: of one column, or of `date` and `time` together."""
    spelt = {bare(name): name for name in table.columns}
    if "date" in spelt and "time" in spelt:
        parts = zip(table.column(spelt["date"]), table.column(spelt["time"]), strict=True)
        return ["" if is_empty(day) or is_empty(time) else f"{tidy(day)} {tidy(time)}" for day, time in parts]
    column = next((spelt[name] for name in _COLUMNS if name in spelt), None)
    if column is None:
        raise LabelError(
            f"{table.name}: there is no column of times, found {', '.join(table.columns)}; name it 'captured' in line 1"
        )
    return table.column(column)


def _by_pattern(clips: Sequence[str], pattern: str) -> dict[str, datetime]:
    """The time in each clip's path, of several the last: the name of a file says more than a folder's."""
    expression, form = _compiled(pattern)
    times: dict[str, datetime] = {}
    for clip_id in clips:
        for found in expression.finditer(clip_id):
            said = " ".join(part for part in found.groups() if part is not None)
            try:
                times[clip_id] = datetime.strptime(said, form)
            except ValueError:  # digits that happen to stand there, such as a month 13
                continue
    return times


def _compiled(pattern: str) -> tuple[re.Pattern[str], str]:
    """An expression whose groups are the parts of a time, and how `strptime` reads these, separated by spaces.

    Raises:
        LabelError: the pattern is none, or does not say the day and the minute.
    """
    expression, form = [], []
    for directive, star, plain in _PARTS.findall(pattern):
        if star:
            expression.append("[^/]*?")
        elif plain or directive == "%":
            expression.append(re.escape(plain or "%"))
        elif directive in _DIRECTIVES:
            expression.append(f"({_DIRECTIVES[directive]})")
            form.append(f"%{directive}")
        else:
            raise LabelError(
                f"--time-pattern '{pattern}': '%{directive}' is no part of a time; there are "
                f"{', '.join(f'%{each}' for each in _DIRECTIVES)}"
            )
    says = {part[1] for part in form}
    day = bool(says & {"Y", "y"}) and ("j" in says or ("d" in says and bool(says & {"m", "b"})))
    if not (day and bool(says & {"H", "I"}) and "M" in says) or len(says) < len(form):
        raise LabelError(
            f"--time-pattern '{pattern}': expected year, month, day, hour and minute, each once, as they stand in the "
            "clips' paths, such as %Y%m%d_%H%M%S"
        )
    edges = r"(?<!\d)" if pattern.startswith("%") else "", r"(?!\d)" if pattern[-2:-1] == "%" else ""
    return re.compile(edges[0] + "".join(expression) + edges[1]), " ".join(form)
