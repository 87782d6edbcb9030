"""Class tables: the taxon, rank, identifier and common name that a class of the run goes by elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from heads.data.class_names import bare, read_class
from heads.data.labels import BLANK
from heads.data.tables import quoted, read_table
from heads.errors import LabelError

RANKS = (
    *("kingdom", "phylum", "class", "order", "family", "subfamily", "tribe", "genus", "subgenus", "species"),
    "subspecies",
)
_NAME = "class"
_COLUMNS = {
    "scientific_name": ("scientificname",),
    "rank": ("taxonrank", "rank"),
    "taxon_id": ("taxonid",),
    "vernacular": ("vernacularname", "vernacular", "commonname"),
    "kind": ("observationtype", "kind"),
}
KINDS = ("animal", "human", "vehicle")
_HUMANS = frozenset(map(bare, ("human", "humans", "person", "people", "homo sapiens")))
_VEHICLES = frozenset(map(bare, ("vehicle", "vehicles", "car", "truck")))


@dataclass(frozen=True, kw_only=True)
class Taxon:
    """What a class is called elsewhere; what is not known is "".

    Attributes:
        scientific_name: of the taxon.
        rank: of RANKS.
        taxon_id: an identifier, such as a URL of the Catalogue of Life.
        vernacular: the common name, in English.
        kind: of KINDS, or BLANK.
    """

    scientific_name: str = ""
    rank: str = ""
    taxon_id: str = ""
    vernacular: str = ""
    kind: str = "animal"


def own_taxon(name: str) -> Taxon:
    """What a class is by its name alone: a person, a vehicle, BLANK, or an animal whose taxon nobody told."""
    if name == BLANK:
        return Taxon(kind=BLANK)
    if bare(name) in _HUMANS:
        return Taxon(scientific_name="Homo sapiens", rank="species", vernacular="human", kind="human")
    return Taxon(kind="vehicle" if bare(name) in _VEHICLES else "animal")


def read_class_table(path: Path | None, classes: Sequence[str]) -> dict[str, Taxon]:
    """The taxon of each of some classes: as a table has it, else by the class's name alone.

    Args:
        path: a table of `class`, `scientificName` and, if known, `taxonRank`, `taxonID`, `vernacularName` and
            `observationType`; its rows of other classes do not count.
        classes: of a run.

    Raises:
        LabelError: the table lacks a column, or has a cell that cannot be.
    """
    taxa = {name: own_taxon(name) for name in classes}
    if path is None:
        return taxa
    table = read_table(path)
    column_of = {bare(name): name for name in reversed(table.columns)}
    found = {
        field: next((column_of[each] for each in spelt if each in column_of), None) for field, spelt in _COLUMNS.items()
    }
    if _NAME not in column_of or found["scientific_name"] is None:
        raise LabelError(
            f"{table.name}: expected columns '{_NAME}' and 'scientificName', found {quoted(table.columns)}; add them"
        )
    cells = {field: table.names(column) for field, column in found.items() if column is not None}
    names = [read_class(name) for name in table.names(column_of[_NAME])]
    table.require_single_rows([(name,) for name in names])
    for row, name in enumerate(names):
        told = {field: column[row] for field, column in cells.items() if column[row]}
        where = f"{table.name}, line {table.lines[row]}, class '{name}'"
        told |= {"rank": told["rank"].casefold()} if "rank" in told else {}
        if told.get("rank", RANKS[0]) not in RANKS:
            raise LabelError(f"{where}: the rank is '{told['rank']}', expected one of {quoted(RANKS)}")
        if "kind" in told and told["kind"] not in KINDS:
            raise LabelError(f"{where}: the kind is '{told['kind']}', expected one of {quoted(KINDS)}")
        if name in taxa and name != BLANK:
            taxa[name] = Taxon(**{"kind": own_taxon(name).kind, **told})
    return taxa
