"""Which clips are of one deployment, a camera at one place for some time, as a person's table of sites says.

The table is the one that `heads train --sites` takes, with a further column `deployment`: a column of clips
(`filename`, `filepath` or `clip_id`), `site`, and others, which are passed over. Deployments of several sites may be
called alike, so that the site belongs to a deployment's name.
"""

import csv
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from featurize.background.settings import background_settings
from featurize.errors import SettingsError, SitesError
from featurize.pipeline.discover import Clip
from featurize.views.registry import find_view
from store import FeatureStore, SeenAgainst
from store.ids import counted, name_a_few, normalise_clip_id, path_ends

NO_DEPLOYMENTS: Mapping[str, str] = MappingProxyType({})
_IDS = ("filename", "filepath", "clip_id")
_SITE, _DEPLOYMENT = "site", "deployment"
# What programs write for nothing.
_NOTHING = frozenset({"", "nan", "na", "n/a", "null", "none"})
_BETWEEN = " / "


def told_deployments(
    table: Path | None, clips: Sequence[Clip], store: FeatureStore | None, on_warning: Callable[[str], None]
) -> Mapping[str, str]:
    """The deployment of each of `clips`, and of clips that `store` compares them with, as far as `table` tells.

    Args:
        table: a table of sites; None for none.
        clips: that were named.
        store: where features go.
        on_warning: called with a sentence on what the table does not say, or comes too late to say.

    Raises:
        SitesError: the table is malformed, or none of its rows means one of the clips.
    """
    if table is None:
        return {}
    rows = _read(table)
    if rows is None:
        on_warning(
            f"{table.name}: there is no column '{_DEPLOYMENT}', so that pictures alone tell which clips are of one "
            "framing"
        )
        return {}
    known = store.backgrounds(background_settings()) if store else {}
    places = {row.clip_id: row.clip_id for row in known.values()} | {clip.clip_id: clip.place for clip in clips}
    told = _matched(table.name, rows, places)
    named = [clip.clip_id for clip in clips]
    lacking = [clip_id for clip_id in named if clip_id not in told]
    if clips and len(lacking) == len(clips):
        raise SitesError(
            f"{table.name}: none of its rows means one of the {counted(len(clips), 'clip')}: it names "
            f"{name_a_few(rows)}, and clips are called {name_a_few(named)}; write paths as clips are called"
        )
    if lacking:
        on_warning(
            f"{table.name}: it names no deployment of {counted(len(lacking), 'clip')} of {len(clips)}, of which "
            f"pictures alone tell what they are compared with: {name_a_few(lacking)}"
        )
    late = _contradicted(known, told)
    if late:
        on_warning(
            f"what {counted(len(late), 'clip')} in the store are seen against was found out before, and is of more "
            f"than one deployment of {table.name}: {name_a_few(late)}; it stays so until `store refresh` forgets it"
        )
    return told


def require_comparing(table: Path | None, views: Iterable[str]) -> None:
    """Raise SettingsError if there is a table of deployments and none of `views` compares clips."""
    if table is not None and not any(find_view(view).needs_background for view in views):
        raise SettingsError(
            f"--sites {table}: deployments matter to views that compare clips; ask for --view animal too, or leave the "
            "table out"
        )


def deployment_of(row: SeenAgainst, told: Mapping[str, str]) -> str:
    """The deployment of a clip of which the store knows what it is seen against; "" if nobody ever said."""
    return told.get(row.clip_id, row.deployment)


def _contradicted(known: Mapping[str, SeenAgainst], told: Mapping[str, str]) -> list[str]:
    """The ids of clips that are seen against clips of another deployment."""
    of = {name: deployment_of(row, told) for name, row in known.items()}
    told_rows = [(row, of[name]) for name, row in known.items() if of[name]]
    return sorted(row.clip_id for row, own in told_rows if any(of.get(other, "") != own for other in row.others))


def _matched(origin: str, rows: Mapping[str, tuple[int, str]], places: Mapping[str, str]) -> dict[str, str]:
    """The deployment of each clip that a row means: by its id, by how its full path ends and no other clip's does, or
    else by a longer path that ends with its id, if a folder is part of that.

    Args:
        origin: the table.
        rows: line and deployment by the clip's name in the table.
        places: the full path of each clip, or its id where that is not known, by its id.

    Raises:
        SitesError: two rows mean one clip, and say different things of it.
    """
    ends: dict[str, str | None] = {}
    for clip_id, place in places.items():
        for end in path_ends(normalise_clip_id(place)):
            if end in rows:
                ends[end] = clip_id if end not in ends else None
    surely = {name: name if name in places else ends.get(name) for name in rows}
    found: dict[str, tuple[int, str]] = {}
    for name, said in rows.items():
        if (meant := surely[name]) is not None:
            _note(origin, found, meant, said)
    left: dict[str, tuple[int, str]] = {}
    for name, said in rows.items():
        meant = next((end for end in path_ends(name) if end in places), "")
        if surely[name] is None and "/" in meant and meant not in found:  # cameras call their files alike
            _note(origin, left, meant, said)
    found |= left
    return {clip_id: deployment for clip_id, (_, deployment) in found.items() if deployment}


def _note(origin: str, found: dict[str, tuple[int, str]], clip_id: str, said: tuple[int, str]) -> None:
    """Put what a row says of a clip into `found`; raise SitesError if another row says something else."""
    before = found.setdefault(clip_id, said)
    if before[1] != said[1]:
        raise SitesError(
            f"{origin}, lines {before[0]} and {said[0]}: both mean clip {clip_id!r}, of deployment {before[1]!r} and "
            f"{said[1]!r}; keep one, or write longer paths"
        )


def _read(path: Path) -> dict[str, tuple[int, str]] | None:
    """The line and the deployment of each clip of a table, "" where none is named; None without such a column.

    Raises:
        SitesError: it cannot be read, or is no table of clips.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = max(",;\t", key=file.readline().count)
            file.seek(0)
            reader = csv.reader(file, strict=True, delimiter=delimiter)
            lines = [(reader.line_num, cells) for cells in reader if any(map(_tidy, cells))]
    except OSError as error:
        raise SitesError(f"{path}: cannot be read ({error.strerror or error}); name a CSV file that can") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SitesError(f"{path.name}: not a CSV file in UTF-8 ({error}); save it as CSV UTF-8") from error
    header = [_tidy(cell).casefold() for cell in lines[0][1]] if lines else []
    twice = sorted({name for name in (*_IDS, _SITE, _DEPLOYMENT) if header.count(name) > 1})
    if twice:
        raise SitesError(f"{path.name}: the header names {', '.join(twice)} more than once; leave one of each")
    id_column = next((name for name in _IDS if name in header), None)
    if id_column is None:
        raise SitesError(
            f"{path.name}: there is no column of clips, expected one of {', '.join(_IDS)} in its first line, found "
            f"{', '.join(header) or 'nothing'}"
        )
    if _DEPLOYMENT not in header:
        return None
    found: dict[str, tuple[int, str]] = {}
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            raise SitesError(
                f"{path.name}, line {line}: {counted(len(cells), 'cell')}, expected {len(header)} as in the header; "
                "quote cells that hold a comma"
            )
        row = dict(zip(header, cells, strict=True))
        name, said = normalise_clip_id(row[id_column]), (line, _deployment(row))
        if not _tidy(name):
            raise SitesError(f"{path.name}, line {line}: the column '{id_column}' is empty; name the clip")
        if found.setdefault(name, said)[1] != said[1]:
            raise SitesError(
                f"{path.name}, line {line}: clip {name!r} stands already in line {found[name][0]}; keep one"
            )
    return found


def _deployment(row: Mapping[str, str]) -> str:
    """What a row's deployment is called, with its site in front; "" if it has none."""
    site, deployment = (_said(row.get(name, "")) for name in (_SITE, _DEPLOYMENT))
    return (f"{site}{_BETWEEN}{deployment}" if site else deployment) if deployment else ""


def _said(cell: str) -> str:
    return "" if _tidy(cell).casefold() in _NOTHING else _tidy(cell)


def _tidy(cell: str) -> str:
    """What a person sees in a cell: letters composed, and white space that cannot be told apart made equal."""
    return " ".join(unicodedata.normalize("NFC", cell).split())
