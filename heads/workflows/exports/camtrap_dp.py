"""Answers as a Camtrap DP 1.0.2 package of their own, or as observations that an existing package is given."""

import csv
import gzip
import io
import json
import math
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from heads.data.labels import BLANK
from heads.data.matching import match_clips
from heads.data.reading.class_table import Taxon
from heads.data.reading.formats.camtrap_dp import CLASS_TAG, Package, cells, media_clips, open_package, when
from heads.data.tables import TextTable, quoted, read_table
from heads.errors import LabelError, PredictionError
from heads.workflows.answers.predict import NewPredictions
from heads.workflows.exports.answers import Answers, new_folder
from store import Status
from store.ids import counted, name_a_few

VERSION = "1.0.2"
_BASE = f"https://raw.githubusercontent.com/tdwg/camtrap-dp/{VERSION}"
DEPLOYMENT_COLUMNS = (
    *("deploymentID", "locationID", "locationName", "latitude", "longitude", "coordinateUncertainty"),
    *("deploymentStart", "deploymentEnd", "setupBy", "cameraID", "cameraModel", "cameraDelay", "cameraHeight"),
    *("cameraDepth", "cameraTilt", "cameraHeading", "detectionDistance", "timestampIssues", "baitUse", "featureType"),
    *("habitat", "deploymentGroups", "deploymentTags", "deploymentComments"),
)
_MUST_DEPLOY = ("deploymentID", "latitude", "longitude", "deploymentStart", "deploymentEnd")
MEDIA_COLUMNS = (
    *("mediaID", "deploymentID", "captureMethod", "timestamp", "filePath", "filePublic", "fileName", "fileMediatype"),
    *("exifData", "favorite", "mediaComments"),
)
OBSERVATION_COLUMNS = (
    *("observationID", "deploymentID", "mediaID", "eventID", "eventStart", "eventEnd", "observationLevel"),
    *("observationType", "cameraSetupType", "scientificName", "count", "lifeStage", "sex", "behavior"),
    *("individualID", "individualPositionRadius", "individualPositionAngle", "individualSpeed", "bboxX", "bboxY"),
    *("bboxWidth", "bboxHeight", "classificationMethod", "classifiedBy", "classificationTimestamp"),
    *("classificationProbability", "observationTags", "observationComments"),
)
_MEDIA_TYPES = {
    "mp4": "video/mp4",
    "m4v": "video/mp4",
    "avi": "video/x-msvideo",
    "asf": "video/x-ms-asf",
    "wmv": "video/x-ms-wmv",
    "mov": "video/quicktime",
    "mkv": "video/x-matroska",
    "mts": "video/mp2t",
    "ts": "video/mp2t",
    "webm": "video/webm",
    "mpg": "video/mpeg",
    "mpeg": "video/mpeg",
    "flv": "video/x-flv",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
}
_PROJECT = ("title", "samplingDesign", "captureMethod", "individualAnimals")
PROJECT_EXAMPLE = (
    '{"contributors": [{"title": "Ann Example", "role": "contact"}], "project": {"title": "Our forest", '
    '"samplingDesign": "systematicRandom", "captureMethod": ["activityDetection"], "individualAnimals": false}}'
)


@dataclass(frozen=True, kw_only=True)
class CamtrapDp:
    """A package: of its own where deployments and a project are given, else an existing one with more observations.

    Attributes:
        deployments: a table of deployments with the columns of the standard.
        project: a JSON of what nobody can find out: contributors, and the project with its design.
        package: an existing package to add to a copy of.
    """

    deployments: Path | None = None
    project: Path | None = None
    package: Path | None = None

    about = "a Camtrap DP 1.0.2 package"

    @property
    def needs_store(self) -> bool:
        """Capture times are the store's; a package that is added to has its own."""
        return self.package is None

    def require(self, path: Path) -> None:
        """Raise PredictionError unless a package can be written at `path` out of what is given."""
        new_folder(path)
        if self.package is not None and (self.deployments is not None or self.project is not None):
            raise PredictionError("--package has deployments and a project of its own; leave out one or the other")
        if self.package is None and (self.deployments is None or self.project is None):
            raise PredictionError(
                "a package needs --deployments FILE (a table of deploymentID, latitude, longitude, deploymentStart, "
                f"deploymentEnd, locationName) and --project FILE (such as {PROJECT_EXAMPLE}), or else --package with "
                "one that is there"
            )

    def write(self, path: Path, answers: Answers) -> list[str]:
        """Write a new folder, and say what is not in it."""
        self.require(path)
        if self.package is not None:
            files, notes = _merged(open_package(self.package), answers)
        else:
            assert self.deployments is not None
            assert self.project is not None
            files, notes = _whole(_deployments(self.deployments), _project(self.project), answers)
        path.mkdir(exist_ok=True)
        try:
            for name, content in files.items():
                target = path / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        except OSError:
            shutil.rmtree(path, ignore_errors=True)
            raise
        return notes


@dataclass(frozen=True, kw_only=True)
class _Media:
    """A file that answers are about: its ids, and when it was taken."""

    media_id: str
    deployment: str
    event: str
    start: str
    end: str


def _whole(deployments: TextTable, project: Mapping[str, Any], answers: Answers) -> tuple[dict[str, bytes], list[str]]:
    media: dict[str, _Media] = {}
    left_out: dict[str, list[str]] = {}
    methods, running = project["project"]["captureMethod"], _running(deployments)
    rows = []
    for clip_id, status in zip(answers.new.predictions.ids, answers.new.status, strict=True):
        taken = answers.recorded(clip_id)
        there = running.get(answers.sites.get(clip_id, ""), [])
        deployment = next((name for start, end, name in there if taken is not None and start <= taken <= end), None)
        kind = _MEDIA_TYPES.get(clip_id.rpartition(".")[2].lower())
        reason = (
            "a path that the standard does not allow"
            if clip_id.startswith((".", "/", "~")) or ".." in clip_id
            else "no known media type"
            if kind is None
            else "no capture time is known (--times or --time-pattern tells it)"
            if taken is None
            else "no deployment of --deployments covers its site and time"
            if deployment is None
            else ""
        )
        if taken is None or deployment is None or reason:
            left_out.setdefault(reason, []).append(clip_id)
            continue
        seconds = answers.fact(clip_id, "duration_s")
        end = taken + timedelta(seconds=math.floor(seconds) if math.isfinite(seconds) and seconds > 0 else 0)
        media_id = _digest("media", clip_id)
        media[clip_id] = _Media(
            media_id=media_id, deployment=deployment, event=media_id, start=_time(taken), end=_time(end)
        )
        comment = answers.reasons.get(clip_id, "") if status is Status.FAILED else ""
        method = methods[0] if len(methods) == 1 else ""
        name = clip_id.rpartition("/")[2]
        rows.append((media_id, deployment, method, _time(taken), clip_id, "false", name, kind, "", "", comment))
    media = _with_events(media, answers.new)
    if not media:
        told = "; ".join(f"{reason}: {name_a_few(some)}" for reason, some in left_out.items())
        raise PredictionError(f"none of {counted(len(answers.said), 'clip')} can be in a package: {told}")
    observations = list(_observations(answers, media, set()))
    located = zip(*(cells(deployments, name) for name in DEPLOYMENT_COLUMNS), strict=True)
    files = {
        "datapackage.json": json.dumps(
            _descriptor(project, deployments, answers), indent=2, ensure_ascii=False
        ).encode(),
        "deployments.csv": _csv(DEPLOYMENT_COLUMNS, located),
        "media.csv": _csv(MEDIA_COLUMNS, rows),
        "observations.csv": _csv(
            OBSERVATION_COLUMNS, [[row.get(name, "") for name in OBSERVATION_COLUMNS] for row in observations]
        ),
    }
    notes = [f"{counted(len(media), 'clip')} with {counted(len(observations), 'observation')} in the package"]
    notes += [
        f"{counted(len(some), 'clip')} left out of the package, {reason}: {name_a_few(some)}"
        for reason, some in left_out.items()
    ]
    dropped = [name for name in deployments.columns if name not in DEPLOYMENT_COLUMNS]
    notes += [f"{deployments.name}: {quoted(dropped)} are no columns of the standard and left out"] * bool(dropped)
    return files, [*notes, *_nameless(answers)]


def _with_events(media: Mapping[str, _Media], new: NewPredictions) -> dict[str, _Media]:
    """The files with the event that each is of, and when that begins and ends; one of its own where none is known."""
    events = new.event or [""] * len(new.origin)
    of_clip = {clip_id: event for clip_id, event in zip(new.predictions.ids, events, strict=True) if event}
    spans: dict[str, tuple[str, str]] = {}
    for clip_id, file in media.items():
        event = of_clip.get(clip_id, "")
        start, end = spans.get(event, (file.start, file.end))
        spans[event] = min(start, file.start), max(end, file.end)
    return {
        clip_id: file
        if clip_id not in of_clip
        else replace(file, event=of_clip[clip_id], start=spans[of_clip[clip_id]][0], end=spans[of_clip[clip_id]][1])
        for clip_id, file in media.items()
    }


def _merged(package: Package, answers: Answers) -> tuple[dict[str, bytes], list[str]]:
    media = package.table("media", "mediaID", "deploymentID", "timestamp", "filePath", "fileMediatype")
    names, ids, kinds = media_clips(media), cells(media, "mediaID"), cells(media, "fileMediatype")
    clips = answers.new.predictions.ids
    matches = match_clips(names, clips, media.name)
    name = package.file("observations")
    packed = package.bundle.read(name)
    text = package.bundle.text(name)
    columns, taken, event_of = _existing(text, f"{package.bundle.name}/{name}")
    times = zip(cells(media, "timestamp"), cells(media, "deploymentID"), strict=True)
    found: dict[str, _Media] = {}
    for row, (stamp, deployment) in enumerate(times):
        clip_id = matches.clip_of.get(names[row])
        if clip_id is None:
            continue
        start = when(stamp, media, row, "timestamp")
        seconds = answers.fact(clip_id, "duration_s")
        video = kinds[row].startswith("video/") and math.isfinite(seconds)
        found[clip_id] = _Media(
            media_id=ids[row],
            deployment=deployment,
            event=event_of.get(ids[row], ids[row]),
            start=_time(start),
            end=_time(start + timedelta(seconds=math.floor(seconds) if video else 0)),
        )
    if not found:
        raise PredictionError(
            f"{package.bundle.name}: none of its {len(names)} files, such as {name_a_few(names[:2])}, is one of the "
            f"{len(clips)} clips, such as {name_a_few(clips[:2])}; name the package of these clips"
        )
    observations = list(_observations(answers, found, taken))
    needed = {column for row in observations for column, value in row.items() if value}
    if missing := sorted(needed - set(columns)):
        raise PredictionError(
            f"{package.bundle.name}/{name}: it has no column {quoted(missing)}, which these observations need; add "
            "them, empty, since no row that is there is changed"
        )
    ending = "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"
    added = io.StringIO()
    csv.writer(added, lineterminator=ending).writerows(
        [row.get(column, "") for column in columns] for row in observations
    )
    own = package.bundle.base + name
    before = packed if not text or text.endswith(("\n", "\r")) else packed + ending.encode()
    after = before + added.getvalue().encode()
    files = _copied(package)
    files[name] = gzip.compress(after, mtime=0) if own.lower().endswith(".gz") else after
    without = [clip_id for clip_id in clips if clip_id not in found]
    notes = [
        *matches.notes,
        f"{counted(len(observations), 'observation')} of {counted(len(found), 'file')} added to "
        f"{len(taken):,} that were there",
    ]
    if without:
        notes.append(f"{counted(len(without), 'clip')} not among the files of the package: {name_a_few(without)}")
    levels = package.descriptor.get("project")
    if isinstance(levels, dict) and "media" not in str(levels.get("observationLevel", "media")):
        notes.append("datapackage.json: project.observationLevel does not list 'media', which observations now have")
    return files, [*notes, *_nameless(answers)]


def _copied(package: Package) -> dict[str, bytes]:
    """The descriptor, the files of resources, and what lies beside them; not the media."""
    resources = package.descriptor.get("resources")
    paths = [each.get("path") for each in resources if isinstance(each, dict)] if isinstance(resources, list) else []
    named = [each for path in paths for each in (path if isinstance(path, list) else [path]) if isinstance(each, str)]
    beside = [
        name for name in package.bundle.names if "/" not in name and name.rpartition(".")[2].lower() not in _MEDIA_TYPES
    ]
    wanted = dict.fromkeys(each for each in (*beside, *named) if "://" not in each)
    return {name: package.bundle.raw(name) for name in wanted}


def _existing(text: str, name: str) -> tuple[list[str], set[str], dict[str, str]]:
    """The columns of a table of observations, its ids, and the event of each file that has one."""
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = next(rows, [])
        places = {column: place for place, column in enumerate(columns)}
        missing = [
            each for each in ("observationID", "deploymentID", "mediaID", "observationLevel") if each not in places
        ]
        if missing:
            raise LabelError(f"{name}: there is no column {quoted(missing)}, found {quoted(columns)}; add it")
        taken, event_of = set(), dict[str, str]()
        for row in rows:
            if len(row) != len(columns):
                if not row:
                    continue
                raise LabelError(f"{name}, line {rows.line_num}: {len(row)} cells, expected {len(columns)}")
            taken.add(row[places["observationID"]])
            event = row[places["eventID"]] if "eventID" in places else ""
            if event and row[places["mediaID"]]:
                event_of.setdefault(row[places["mediaID"]], event)
    except csv.Error as error:
        raise LabelError(f"{name}: not a CSV file ({error}); write it again") from error
    return columns, taken, event_of


def _observations(answers: Answers, media: Mapping[str, _Media], taken: set[str]) -> Iterable[dict[str, str]]:
    """The media-level observations of clips: each species that is said to be there, blank, unknown or unclassified."""
    new, ids = answers.new, set(taken)
    place = {name: column for column, name in enumerate(new.predictions.classes)}
    made = _time(answers.made)
    for clip_id, status, origin, probabilities, there in answers.rows():
        if clip_id not in media:
            continue
        file = media[clip_id]
        base = {
            "deploymentID": file.deployment,
            "mediaID": file.media_id,
            "eventID": file.event,
            "eventStart": file.start,
            "eventEnd": file.end,
            "observationLevel": "media",
        }
        machine = {"classificationMethod": "machine", "classifiedBy": answers.by, "classificationTimestamp": made}
        tags = [f"origin:{origin.value}", f"status:{status.value}"]
        if status is Status.FAILED:
            reason = answers.reasons.get(clip_id, "") or "could not be decoded"
            told = {
                "observationType": "unclassified",
                "observationTags": " | ".join(tags),
                "observationComments": reason,
            }
            yield {"observationID": _unused(clip_id, "", answers.by, ids), **base, **told}
            continue
        for name in there or ("",):
            taxon = answers.taxa[name] if name else Taxon(kind="unknown")
            value = f"{probabilities[place[name]]:.6f}" if name else ""
            own = name and name != BLANK and name not in answers.coarser
            named = [f"{CLASS_TAG}{name.replace('|', '/')}"] if own else []
            yield {
                "observationID": _unused(clip_id, name, answers.by, ids),
                **base,
                "observationType": taxon.kind,
                "scientificName": taxon.scientific_name if taxon.kind in ("animal", "human") else "",
                **machine,
                "classificationProbability": value,
                "observationTags": " | ".join([*named, *tags]),
                "observationComments": "" if name else _likeliest(answers, probabilities),
            }


def _likeliest(answers: Answers, probabilities: Sequence[float]) -> str:
    classes = answers.new.predictions.classes
    species = [column for column, name in enumerate(classes) if name not in answers.coarser]
    top = max(species, key=lambda column: probabilities[column])
    return f"not sure enough to say; likeliest: {classes[top]} {probabilities[top]:.2f}"


def _unused(clip_id: str, name: str, by: str, taken: set[str]) -> str:
    """An id that no observation has yet."""
    for number in range(len(taken) + 1):
        found = f"trapline-{_digest(by, clip_id, name, str(number))}"
        if found not in taken:
            taken.add(found)
            return found
    raise AssertionError("more ids than observations")


def _digest(*words: str) -> str:
    return sha256("\n".join(words).encode()).hexdigest()[:16]


def _time(moment: datetime) -> str:
    """A time as the standard has it: without fractions, with a zone."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([columns, *rows])
    return written.getvalue().encode()


def _nameless(answers: Answers) -> list[str]:
    """A sentence on classes that are animals without a taxon."""
    used = Counter(name for there in answers.said for name in there)
    names = [name for name in used if answers.taxa[name].kind == "animal" and not answers.taxa[name].scientific_name]
    if not names:
        return []
    return [
        f"{name_a_few(names)}: no scientificName is known, so that they stand in observationTags only; give one with "
        "--classes"
    ]


def _deployments(path: Path) -> TextTable:
    table = read_table(path)
    missing = [name for name in _MUST_DEPLOY if name not in table.columns]
    if missing:
        raise LabelError(f"{table.name}: there is no column {quoted(missing)}, found {quoted(table.columns)}; add it")
    table.require_single_rows([(name,) for name in cells(table, "deploymentID")])
    for row, line in enumerate(table.lines):
        for name, most in (("latitude", 90), ("longitude", 180)):
            cell = cells_of(table, row, name)
            try:
                right = -most <= float(cell) <= most
            except ValueError:
                right = False
            if not right:
                raise LabelError(f"{table.name}, line {line}: '{name}' is '{cell}', expected degrees to {most}")
        times = []
        for name in ("deploymentStart", "deploymentEnd"):
            cell = cells_of(table, row, name)
            times.append(when(cell, table, row, name))
            if not cell.endswith("Z") and cell[-6:-5] not in ("+", "-"):
                raise LabelError(f"{table.name}, line {line}: '{name}' is '{cell}' without a zone; add Z, or +02:00")
        if not cells_of(table, row, "deploymentID") or times[0] > times[1]:
            raise LabelError(f"{table.name}, line {line}: a deployment needs an ID, and to end after it starts")
    return table


def cells_of(table: TextTable, row: int, name: str) -> str:
    """One cell, without white space around it."""
    return table.rows[row][table.columns.index(name)].strip()


def _project(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise PredictionError(f"{path.name}: not a JSON file ({error}); write one such as {PROJECT_EXAMPLE}") from error
    project = found.get("project") if isinstance(found, dict) else None
    people = found.get("contributors") if isinstance(found, dict) else None
    missing = [name for name in _PROJECT if not isinstance(project, dict) or name not in project]
    if missing or not isinstance(people, list) or not people:
        what = f"project.{missing[0]}" if missing else "contributors"
        raise PredictionError(f"{path.name}: '{what}' is missing; write it such as {PROJECT_EXAMPLE}")
    if not isinstance(project["captureMethod"], list):  # type: ignore[index]
        raise PredictionError(f"{path.name}: 'project.captureMethod' is no list; write it such as {PROJECT_EXAMPLE}")
    return dict(found)


def _running(table: TextTable) -> dict[str, list[tuple[datetime, datetime, str]]]:
    """When which deployment was running, by each name of its place; by "" too if it is the only one."""
    found: dict[str, list[tuple[datetime, datetime, str]]] = {}
    names = list(zip(*(cells(table, name) for name in ("deploymentID", "locationID", "locationName")), strict=True))
    for row, places in enumerate(names):
        start, end = (when(cells_of(table, row, name), table, row, name) for name in _MUST_DEPLOY[3:])
        for place in dict.fromkeys((*filter(None, places), *([""] if len(names) == 1 else []))):
            found.setdefault(place, []).append((start, end, places[0]))
    return found


def _descriptor(project: Mapping[str, Any], deployments: TextTable, answers: Answers) -> dict[str, Any]:
    longitudes, latitudes = ([float(each) for each in cells(deployments, name)] for name in ("longitude", "latitude"))
    west, east, south, north = min(longitudes), max(longitudes), min(latitudes), max(latitudes)
    spatial: dict[str, Any] = {
        "type": "Polygon",
        "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
    }
    if (west, south) == (east, north):
        spatial = {"type": "Point", "coordinates": [west, south]}
    days = [sorted(each[:10] for each in cells(deployments, name)) for name in ("deploymentStart", "deploymentEnd")]
    shown = dict.fromkeys(name for there in answers.said for name in there)
    taxa = {
        answers.taxa[name].scientific_name: answers.taxa[name] for name in shown if answers.taxa[name].scientific_name
    }
    resources = [
        {
            "name": name,
            "path": f"{name}.csv",
            "profile": "tabular-data-resource",
            "format": "csv",
            "mediatype": "text/csv",
            "encoding": "utf-8",
            "schema": f"{_BASE}/{name}-table-schema.json",
        }
        for name in ("deployments", "media", "observations")
    ]
    return {
        **project,
        "resources": resources,
        "profile": f"{_BASE}/camtrap-dp-profile.json",
        "created": _time(answers.made),
        "project": {**project["project"], "observationLevel": ["media"]},
        "spatial": spatial,
        "temporal": {"start": days[0][0], "end": days[1][-1]},
        "taxonomic": [_taxonomic(taxon) for taxon in taxa.values()],
    }


def _taxonomic(taxon: Taxon) -> dict[str, Any]:
    facts: dict[str, Any] = {"scientificName": taxon.scientific_name}
    facts |= {"taxonID": taxon.taxon_id} if taxon.taxon_id else {}
    facts |= {"taxonRank": taxon.rank} if taxon.rank else {}
    return facts | ({"vernacularNames": {"eng": taxon.vernacular}} if taxon.vernacular else {})
