"""Clips of one visit: those of one place that follow each other closely."""

from collections.abc import Mapping
from datetime import datetime, timedelta

GAP = timedelta(minutes=5)


def find_visits(recorded_at: Mapping[str, str], sites: Mapping[str, str]) -> dict[str, str]:
    """The visit of each clip whose time is known: clips of one place of which each begins soon after the one before.

    Args:
        recorded_at: when each clip begins, ISO 8601; "" where that is not known.
        sites: the place of each clip; the folder of a clip that has none stands for it.
    """
    times = {clip_id: when for clip_id, text in recorded_at.items() if (when := _time(text)) is not None}
    places = {clip_id: sites.get(clip_id) or clip_id.rpartition("/")[0] for clip_id in times}
    visits: dict[str, str] = {}
    name, place, before = "", "", datetime.min
    for clip_id in sorted(times, key=lambda each: (places[each], times[each], each)):
        now = times[clip_id]
        if not name or places[clip_id] != place or now - before > GAP:
            name = f"{places[clip_id]} {now}"
        visits[clip_id], place, before = name, places[clip_id], now
    return visits


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None) if text else None
    except ValueError:
        return None
