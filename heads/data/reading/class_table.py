"""Class tables: the taxon, rank, identifier and common name that a class of the run goes by elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from heads.data.class_names import read_class
from heads.data.coarser import RANKS as RANKS_ABOVE
from heads.data.labels import BLANK
from heads.data.tables import bare, quoted, read_table
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
        higher: the name of the genus, family and order that it belongs to, by rank, as far as known.
    """

    scientific_name: str = ""
    rank: str = ""
    taxon_id: str = ""
    vernacular: str = ""
    kind: str = "animal"
    higher: Mapping[str, str] = field(default_factory=dict)


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
            `observationType`, and of `genus`, `family` and `order`; its rows of other classes do not count.
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
        what: next((column_of[each] for each in spelt if each in column_of), None) for what, spelt in _COLUMNS.items()
    }
    if _NAME not in column_of or found["scientific_name"] is None:
        raise LabelError(
            f"{table.name}: expected columns '{_NAME}' and 'scientificName', found {quoted(table.columns)}; add them"
        )
    above = {rank: table.names(column_of[rank]) for rank in RANKS_ABOVE if rank in column_of}
    cells = {what: table.names(column) for what, column in found.items() if column is not None}
    names = [read_class(name) for name in table.names(column_of[_NAME])]
    table.require_single_rows([(name,) for name in names])
    for row, name in enumerate(names):
        told = {what: column[row] for what, column in cells.items() if column[row]}
        where = f"{table.name}, line {table.lines[row]}, class '{name}'"
        told |= {"rank": told["rank"].casefold()} if "rank" in told else {}
        if told.get("rank", RANKS[0]) not in RANKS:
            raise LabelError(f"{where}: the rank is '{told['rank']}', expected one of {quoted(RANKS)}")
        if "kind" in told and told["kind"] not in KINDS:
            raise LabelError(f"{where}: the kind is '{told['kind']}', expected one of {quoted(KINDS)}")
        if name in taxa and name != BLANK:
            own = Taxon(
                scientific_name=told.get("scientific_name", ""),
                rank=told.get("rank", ""),
                taxon_id=told.get("taxon_id", ""),
                vernacular=told.get("vernacular", ""),
                kind=told.get("kind", own_taxon(name).kind),
            )
            higher = {rank: column[row] for rank, column in above.items() if column[row]}
            taxa[name] = replace(own, higher=_own_ranks(own) | higher)
    return taxa


def _own_ranks(taxon: Taxon) -> dict[str, str]:
    """What a scientific name alone says of higher ranks: the genus of a species, or the taxon itself."""
    if taxon.kind != "animal" or not taxon.scientific_name:
        return {}
    if taxon.rank in RANKS_ABOVE:
        return {taxon.rank: taxon.scientific_name}
    words = taxon.scientific_name.split()
    return {"genus": words[0]} if taxon.rank in ("", "species", "subspecies") and len(words) > 1 else {}
