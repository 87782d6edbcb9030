"""Downloads of Wildlife Insights: images*.csv with deployments.csv beside it, in a folder or a zip."""

import csv
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

from heads.data.class_names import means_blank
from heads.data.labels import BLANK, Labelled
from heads.data.reading.formats.camtrap_dp import cells
from heads.data.reading.formats.collected import Collected, Reading, unambiguous
from heads.data.reading.formats.containers import Bundle, open_bundle, require_columns
from heads.data.tables import TextTable, read_header, tidy
from heads.errors import LabelError

_IMAGES, _SEQUENCES = "images*.csv", "sequences*.csv"
_NEEDED = ("deployment_id", "filename")
_MACHINE = "computer vision"
_TAXA = ("family", "order", "class")
_TRUE = ("1", "1.0", "true", "t", "yes")
_HUMAN = ("human", "homo sapiens", "human-camera trapper", "homo")


class WildlifeInsights:
    """A row for each species of an image; the site is the deployment's place."""

    about = "a download of Wildlife Insights (folder, zip or images.csv)"

    def recognises(self, path: Path) -> bool:
        """Whether there is a table of images with identifications."""
        if path.is_file() and path.suffix.lower() == ".csv":
            return {"image_id", "wi_taxon_id", *_NEEDED} <= set(read_header(path))
        bundle = open_bundle(path, _IMAGES)
        if bundle is None:
            return False
        try:
            header = next(csv.reader([bundle.text(_files(bundle, _IMAGES)[0]).partition("\n")[0]]), [])
        except (LabelError, csv.Error):
            return True  # then its reader says what is wrong
        return {"image_id", *_NEEDED} <= set(map(tidy, header))

    def read(self, path: Path) -> Labelled:
        """Read what people identified."""
        return self.read_as(path, Reading())

    def read_as(self, path: Path, reading: Reading) -> Labelled:
        """Read the identifications that count, of images and of sequences."""
        alone = path.is_file() and path.suffix.lower() == ".csv"
        bundle = Bundle(path=path.parent, base="", names=(path.name,)) if alone else open_bundle(path, _IMAGES)
        if bundle is None:
            raise LabelError(f"{path.name}: not {self.about}; name one")
        found = Collected(origin=path.name, about="a download of Wildlife Insights")
        images = [bundle.table(name, _NEEDED) for name in ([path.name] if alone else _files(bundle, _IMAGES))]
        called = unambiguous(pair for table in images for pair in _pairs(table))
        places = _places(bundle)
        of_sequence: dict[str, dict[str, None]] = {}
        for table in images:
            sequences, clips = cells(table, "sequence_id"), [called[pair] for pair in _pairs(table)]
            deployments = cells(table, "deployment_id")
            for row, clip_id in enumerate(clips):
                found.seen.setdefault(clip_id)
                of_sequence.setdefault(sequences[row], {}).setdefault(clip_id)
                site = places.get(deployments[row]) or _joined(cells_of_project(table, row), deployments[row])
                found.place(clip_id, site, f"{table.name}, line {table.lines[row]}")
            _add(table, [[clip_id] for clip_id in clips], reading, found)
        for name in [] if alone else _files(bundle, _SEQUENCES):
            table = bundle.table(name, ("sequence_id",))
            _add(table, [list(of_sequence.get(key, ())) for key in cells(table, "sequence_id")], reading, found)
        return found.labelled()


def cells_of_project(table: TextTable, row: int) -> str:
    """The project of a row, "" if the table does not tell."""
    return table.rows[row][table.columns.index("project_id")] if "project_id" in table.columns else ""


def _files(bundle: Bundle, pattern: str) -> list[str]:
    return [name for name in bundle.names if "/" not in name and fnmatch(name, pattern)]


def _joined(project: str, deployment: str) -> str:
    return f"{project}/{deployment}" if project else deployment


def _pairs(table: TextTable) -> list[tuple[str, str]]:
    """The deployment and the file of every row."""
    names, urls = cells(table, "filename"), cells(table, "location")
    named = [name or url.rpartition("/")[2] for name, url in zip(names, urls, strict=True)]
    for row, name in enumerate(named):
        if not name:
            raise LabelError(f"{table.name}, line {table.lines[row]}: 'filename' is empty; name the file")
    return list(zip(cells(table, "deployment_id"), named, strict=True))


def _places(bundle: Bundle) -> dict[str, str]:
    """The place of each deployment, by name or else by latitude and longitude."""
    if "deployments.csv" not in bundle.names:
        return {}
    table = bundle.table("deployments.csv")
    require_columns(table, ("deployment_id",))
    columns = (cells(table, name) for name in ("deployment_id", "placename", "latitude", "longitude"))
    return {
        deployment: place or (f"{latitude},{longitude}" if latitude and longitude else "")
        for deployment, place, latitude, longitude in zip(*columns, strict=True)
    }


def _add(table: TextTable, clips: list[list[str]], reading: Reading, found: Collected) -> None:
    """Add what every row says of its clips."""
    asked = ("is_blank", "identified_by", "common_name", "genus", "species", *_TAXA)
    columns = {name: cells(table, name) for name in asked}
    for row, some in enumerate(clips):
        cell = {name: column[row] for name, column in columns.items()}
        if not any(cell.values()):
            continue
        if cell["identified_by"].casefold() == _MACHINE and not reading.machine:
            found.leave_out("identification", "by computer vision")
        elif cell["common_name"].casefold() == "no cv result" or cell["species"].casefold() == "no cv result":
            found.leave_out("image", "without a result")
        else:
            for clip_id in some:
                found.add(clip_id, _name(cell))


def _name(cell: Mapping[str, str]) -> str:
    """The scientific name as deep as it goes; the name counts where `is_blank` says otherwise."""
    common = cell["common_name"]
    taxon = next((cell[level] for level in _TAXA if cell[level]), "")
    named = f"{cell['genus']} {cell['species']}".strip() if cell["genus"] else cell["species"] or taxon
    if means_blank(common) or means_blank(named) or "misfire" in (common.casefold(), named.casefold()):
        return BLANK
    if common.casefold() in _HUMAN or named.casefold() in _HUMAN:
        return "human"
    if named or common:
        return named or common
    return BLANK if cell["is_blank"].casefold() in _TRUE else ""
