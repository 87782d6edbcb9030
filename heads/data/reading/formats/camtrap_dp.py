"""Camtrap DP packages: deployments, media and observations in a folder or a zip."""

import json
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from heads.data.labels import BLANK, Labelled
from heads.data.reading.formats.collected import Collected, Reading, unambiguous
from heads.data.reading.formats.containers import Bundle, open_bundle, read_json
from heads.data.tables import TextTable, is_empty, tidy
from heads.errors import LabelError
from store.ids import counted

TABLES = ("deployments", "media", "observations")
CLASS_TAG = "class:"  # in observationTags: the name of a class that is no taxon
_DESCRIPTOR = "datapackage.json"
_VERSION = re.compile(r"camtrap-dp/(\d+\.\d+(?:\.\d+)?)")
_PLACES = ("locationID", "locationName")
_MODELS = re.compile(
    r"\b(?:trapline|megadetector|speciesnet|zamba|deepfaune|mlwic|efficientnet|yolov?\d|addaxai)", re.IGNORECASE
)
_NAMED_BY_TYPE = {"human": "human", "vehicle": "vehicle", "blank": BLANK, "unknown": "unknown"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Package:
    """A Camtrap DP package.

    Attributes:
        bundle: its files.
        descriptor: what datapackage.json says.
        version: of the standard; "" if it does not say.
    """

    bundle: Bundle
    descriptor: Mapping[str, Any]
    version: str

    @property
    def about(self) -> str:
        """The format with its version."""
        return f"Camtrap DP {self.version}".rstrip()

    def file(self, name: str) -> str:
        """The file of one of TABLES.

        Raises:
            LabelError: there is no such resource, or it is not one file inside the package.
        """
        resources = self.descriptor.get("resources")
        for each in resources if isinstance(resources, list) else ():
            if isinstance(each, dict) and each.get("name") == name:
                path = each.get("path")
                if isinstance(path, list) and len(path) == 1:
                    [path] = path
                if isinstance(path, str):
                    return path
                raise LabelError(
                    f"{self.bundle.name}: {_DESCRIPTOR}, resource '{name}': 'path' is {path!r}, expected the name of "
                    "one file of the package; join its files to one"
                )
        raise LabelError(f"{self.bundle.name}: {_DESCRIPTOR} has no resource '{name}'; a package needs {TABLES}")

    def table(self, name: str, *required: str) -> TextTable:
        """One of TABLES.

        Raises:
            LabelError: it is missing or malformed.
        """
        return self.bundle.table(self.file(name), required)


class CamtrapDp:
    """Media-level and event-level observations; people's, unless a machine's are asked for."""

    about = "a Camtrap DP package (folder, datapackage.json or zip)"

    def recognises(self, path: Path) -> bool:
        """Whether there is a descriptor that names the three tables, or the profile."""
        return find_package(path) is not None

    def read(self, path: Path) -> Labelled:
        """Read what people said."""
        return self.read_as(path, Reading())

    def read_as(self, path: Path, reading: Reading) -> Labelled:
        """Read the observations that count; media level goes before event level."""
        package = open_package(path)
        media = package.table("media", "mediaID", "deploymentID", "timestamp", "filePath", "fileMediatype")
        said = package.table("observations", "deploymentID", "observationLevel", "observationType")
        found = Collected(origin=package.bundle.name, about=package.about)
        clip_of = _clips(media, found)
        _add_sites(package, media, clip_of, found)
        _add_observations(said, media, clip_of, reading, found)
        return found.labelled()


def find_package(path: Path) -> Bundle | None:
    """The files of the package at `path`: a folder, its datapackage.json, or a zip; None if there is none."""
    folder = path.parent if path.name == _DESCRIPTOR and path.is_file() else path
    bundle = open_bundle(folder, _DESCRIPTOR)
    if bundle is None:
        return None
    if not bundle.is_zip:
        return bundle if _is_ours(read_json(folder / _DESCRIPTOR)) else None
    try:
        return bundle if _is_ours(json.loads(bundle.text(_DESCRIPTOR))) else None
    except (LabelError, ValueError, RecursionError):
        return None


def open_package(path: Path) -> Package:
    """The package at `path`.

    Raises:
        LabelError: there is none, or it is of a version that is read otherwise.
    """
    bundle = find_package(path)
    if bundle is None:
        raise LabelError(f"{path.name}: not {CamtrapDp.about}; name one")
    descriptor = json.loads(bundle.text(_DESCRIPTOR))
    found = _VERSION.search(str(descriptor.get("profile", "")))
    version = found[1] if found else ""
    if version and not version.startswith("1.0"):
        raise LabelError(
            f"{bundle.name}: {_DESCRIPTOR}, 'profile': Camtrap DP {version}, of which other columns are known than of "
            "1.0; convert the package to 1.0 (the R package camtrapdp does)"
        )
    return Package(bundle=bundle, descriptor=descriptor, version=version)


def when(text: str, table: TextTable, row: int, column: str) -> datetime:
    """The time in a cell; without a zone it is taken as UTC, so that times of one table can be compared.

    Raises:
        LabelError: it is none.
    """
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise LabelError(
            f"{table.name}, line {table.lines[row]}: '{column}' is '{text}', expected a time such as "
            "2024-05-30T02:57:37Z"
        ) from error
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def cells(table: TextTable, column: str) -> list[str]:
    """The tidied cells of a column, "" for empty ones or if the column is missing."""
    return table.names(column) if column in table.columns else [""] * len(table.rows)


def media_clips(media: TextTable) -> list[str]:
    """What each file of a media table is called: its path in the package, or the name of a file behind a URL."""
    paths, deployments, names = (cells(media, name) for name in ("filePath", "deploymentID", "fileName"))
    remote = ["://" in path for path in paths]
    named = [name or path.rpartition("/")[2] for name, path in zip(names, paths, strict=True)]
    pairs = list(zip(deployments, named, strict=True))
    called = unambiguous(pair for pair, far in zip(pairs, remote, strict=True) if far)
    for row, path in enumerate(paths):
        if not (named[row] if remote[row] else path):
            raise LabelError(f"{media.name}, line {media.lines[row]}: 'filePath' is empty; name the file")
    return [called[pair] if far else path for pair, far, path in zip(pairs, remote, paths, strict=True)]


def _is_ours(descriptor: Any) -> bool:
    if not isinstance(descriptor, dict):
        return False
    if "camtrap-dp" in str(descriptor.get("profile", "")):
        return True
    resources = descriptor.get("resources")
    names = {each.get("name") for each in resources if isinstance(each, dict)} if isinstance(resources, list) else ()
    return set(TABLES) <= set(map(str, names))


def _clips(media: TextTable, found: Collected) -> dict[str, str]:
    """The clip of each mediaID."""
    clip_of: dict[str, str] = {}
    kinds = cells(media, "fileMediatype")
    for row, (media_id, clip_id) in enumerate(zip(cells(media, "mediaID"), media_clips(media), strict=True)):
        if kinds[row].startswith("audio/"):
            found.leave_out("sound file")
            continue
        if not media_id or clip_of.setdefault(media_id, clip_id) != clip_id:
            raise LabelError(
                f"{media.name}, line {media.lines[row]}: 'mediaID' is '{media_id}', expected an id that no other row "
                "has"
            )
        found.seen.setdefault(clip_id)
    return clip_of


def _add_sites(package: Package, media: TextTable, clip_of: Mapping[str, str], found: Collected) -> None:
    """Sites are places: a place has several deployments, which must not be told apart."""
    deployments = package.table("deployments", "deploymentID")
    columns = {name: cells(deployments, name) for name in (*_PLACES, "latitude", "longitude")}
    site_of, used = dict[str, str](), dict[str, None]()
    for row, deployment in enumerate(cells(deployments, "deploymentID")):
        named = next((name for name in _PLACES if columns[name][row]), "")
        site, kind = columns[named][row] if named else "", named
        if not site and columns["latitude"][row] and columns["longitude"][row]:
            site, kind = _rounded(columns["latitude"][row], columns["longitude"][row]), "latitude and longitude"
        site_of[deployment] = site or deployment
        used.setdefault(kind or "deploymentID")
    where = zip(cells(media, "mediaID"), cells(media, "deploymentID"), strict=True)
    for row, (media_id, deployment) in enumerate(where):
        if media_id in clip_of:
            if deployment not in site_of:
                raise LabelError(
                    f"{media.name}, line {media.lines[row]}: 'deploymentID' is '{deployment}', which is not in "
                    f"{deployments.name}; add it there"
                )
            found.place(clip_of[media_id], site_of[deployment], f"{media.name}, line {media.lines[row]}")
    found.remarks.append(f"sites by {' and '.join(used)}")


def _rounded(latitude: str, longitude: str) -> str:
    try:
        return f"{float(latitude):.4f},{float(longitude):.4f}"
    except ValueError:
        return f"{latitude},{longitude}"


def _add_observations(
    said: TextTable, media: TextTable, clip_of: Mapping[str, str], reading: Reading, found: Collected
) -> None:
    columns = {
        name: cells(said, name)
        for name in (
            *("mediaID", "eventID", "deploymentID", "eventStart", "eventEnd", "observationLevel", "observationType"),
            *("cameraSetupType", "scientificName", "classificationMethod", "classifiedBy", "observationTags"),
        )
    }
    stated: set[str] = set()  # clips of which a media-level row says something
    linked: dict[str, list[str]] = defaultdict(list)  # media of an event, by media-level rows
    for_events: list[int] = []
    nameless = 0
    for row, level in enumerate(columns["observationLevel"]):
        media_id, kind = columns["mediaID"][row], columns["observationType"][row]
        if level not in ("media", "event"):
            raise LabelError(
                f"{said.name}, line {said.lines[row]}: 'observationLevel' is '{level}', expected media or event"
            )
        if level == "media":
            if media_id not in clip_of:
                found.leave_out("observation", "of files that are no clips of the package")
                continue
            linked[columns["eventID"][row]].append(media_id)
        if not _counts(columns, row, reading, found):
            if level == "media" and columns["cameraSetupType"][row]:
                stated.add(clip_of[media_id])
            continue
        if level == "event":
            for_events.append(row)
            continue
        stated.add(clip_of[media_id])
        name = _name(columns, row)
        nameless += name == kind == "animal"
        found.add(clip_of[media_id], name)
    if for_events:
        nameless += _add_events(said, columns, for_events, _Files(media, clip_of, linked), stated, found)
    if nameless:
        found.remarks.append(f"{counted(nameless, 'animal')} without a scientificName as class 'animal'")


def _counts(columns: Mapping[str, list[str]], row: int, reading: Reading, found: Collected) -> bool:
    """Whether an observation is a label; why it is none is counted."""
    if columns["cameraSetupType"][row]:
        found.leave_out("observation", "of camera setup or calibration")
        return False
    if columns["observationType"][row] == "unclassified":
        found.leave_out("unclassified observation")
        return False
    method = columns["classificationMethod"][row]
    machine = method == "machine" or (not method and bool(_MODELS.search(columns["classifiedBy"][row])))
    if machine and not reading.machine:
        found.leave_out("observation", "by a machine")
        return False
    return True


def _name(columns: Mapping[str, list[str]], row: int) -> str:
    for tag in columns["observationTags"][row].split("|"):
        if tag.strip().startswith(CLASS_TAG):
            return tidy(tag.strip().removeprefix(CLASS_TAG))
    kind = columns["observationType"][row]
    return _NAMED_BY_TYPE.get(kind) or columns["scientificName"][row] or kind


class _Files:
    """The media of a package, to be found by event or by time."""

    def __init__(self, media: TextTable, clip_of: Mapping[str, str], linked: Mapping[str, list[str]]) -> None:
        self.clip_of, self.linked = clip_of, linked
        by_place: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
        rows = zip(*(cells(media, name) for name in ("mediaID", "deploymentID", "timestamp")), strict=True)
        for row, (media_id, deployment, time) in enumerate(rows):
            if media_id in clip_of and not is_empty(time):
                by_place[deployment].append((when(time, media, row, "timestamp"), media_id))
        self.times = {deployment: sorted(some) for deployment, some in by_place.items()}

    def of_event(self, event: str, deployment: str, start: datetime, end: datetime) -> Iterable[str]:
        """The clips of an event: those that media-level rows link to it, else those of its deployment and time."""
        media = self.linked.get(event, ()) if event else ()
        if not media:
            some = self.times.get(deployment, [])
            first, last = (
                bisect_left(some, start, key=lambda pair: pair[0]),
                bisect_right(some, end, key=lambda pair: pair[0]),
            )
            media = [media_id for _, media_id in some[first:last]]
        return dict.fromkeys(self.clip_of[media_id] for media_id in media)


def _add_events(
    said: TextTable,
    columns: Mapping[str, list[str]],
    rows: Iterable[int],
    files: _Files,
    stated: set[str],
    found: Collected,
) -> int:
    nameless = 0
    for row in rows:
        start, end = (when(columns[name][row], said, row, name) for name in ("eventStart", "eventEnd"))
        clips = files.of_event(columns["eventID"][row], columns["deploymentID"][row], start, end)
        fresh = [clip_id for clip_id in clips if clip_id not in stated]
        if not fresh:
            found.leave_out("event", "of files with labels of their own" if clips else "without a file in its time")
        name = _name(columns, row)
        nameless += bool(fresh) and name == "animal"
        for clip_id in fresh:
            found.add(clip_id, name)
    return nameless
