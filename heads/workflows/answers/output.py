"""Predictions for new clips as the file that somebody wants: our own table, or a given template's rows and columns.

The ending of the file's name says which format; `OUTPUT_FORMATS` is the table of them.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from heads.data.class_names import known_class
from heads.data.matching import IdRule, match_clips, unknown_clips
from heads.data.tables import TextTable, read_table
from heads.errors import PredictionError
from store.files import atomic_path
from store.ids import name_a_few

if TYPE_CHECKING:  # these load TensorFlow, which writing a table does not need
    from heads.models.explain.attribution import Moment
    from heads.workflows.answers.predict import NewPredictions

_MOST_EXCEL_ROWS = 1_048_576  # with the header
Frames = Mapping[str, Sequence["Moment"]]


class OutputFormat(Protocol):
    """A kind of file that predictions can be written as."""

    def missing(self) -> str:
        """What it needs and is not installed, with the remedy, as the end of a sentence; "" if nothing is missing."""

    def write(self, path: Path, new: "NewPredictions", template: TextTable | None, frames: Frames | None) -> None:
        """Write predictions to `path`, a temporary file with the ending of the format.

        Args:
            path: where to write; its folder is there.
            new: what the run says, with the status and the origin of each clip.
            template: the rows and columns that are wanted; None for the format's own.
            frames: the moments of each clip that count; None if they were not asked for.

        Raises:
            PredictionError: the format has no place for the template or the frames, or the template asks for a class
                that the run does not predict.
        """


class _Table(ABC):
    """A format of rows and columns: a row a clip, as `prediction_table` makes them."""

    def missing(self) -> str:
        return ""

    def write(self, path: Path, new: "NewPredictions", template: TextTable | None, frames: Frames | None) -> None:
        self.save(prediction_table(new, template, frames), path)

    @abstractmethod
    def save(self, table: pd.DataFrame, path: Path, *, for_people: bool = False) -> None:
        """Write the table without its index; `for_people` so that a spreadsheet opens it with its letters."""


class Csv(_Table):
    """Comma-separated text, compressed if the name says so."""

    def save(self, table: pd.DataFrame, path: Path, *, for_people: bool = False) -> None:
        """CSV; with a byte order mark, which Excel asks for, if it is for people."""
        table.to_csv(path, index=False, encoding="utf-8-sig" if for_people else "utf-8")


class Parquet(_Table):
    """Parquet, by pyarrow."""

    def missing(self) -> str:
        """That pyarrow is, if it is."""
        if find_spec("pyarrow"):
            return ""
        return "Parquet needs pyarrow, which is not installed: pip install 'trapline[parquet]'"

    def save(self, table: pd.DataFrame, path: Path, *, for_people: bool = False) -> None:
        """Parquet, which is the same for everybody."""
        table.to_parquet(path, index=False)


class Excel(_Table):
    """An Excel workbook of one sheet, in which every text is text and never a formula."""

    def save(self, table: pd.DataFrame, path: Path, *, for_people: bool = False) -> None:
        """One sheet, whose header stays in sight."""
        from openpyxl import Workbook
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

        if len(table) >= _MOST_EXCEL_ROWS:
            raise PredictionError(f"{len(table):,} clips are more rows than Excel has; name a file that ends in .csv")
        columns = [[str(name) for name in table.columns], *(table[name].tolist() for name in table.columns)]
        for text in (each for column in columns for each in column if isinstance(each, str)):
            if ILLEGAL_CHARACTERS_RE.search(text):
                raise PredictionError(f"{text!r} has a character that Excel cannot hold; name a file that ends in .csv")
        book = Workbook(write_only=True)
        sheet = book.create_sheet("Trapline")
        sheet.freeze_panes = "A2"

        def cell(value: Any) -> Any:
            made = WriteOnlyCell(sheet, None if pd.isna(value) else value)
            if isinstance(value, str):
                made.data_type = "s"
            return made

        for row in (columns[0], *zip(*columns[1:], strict=True)):
            sheet.append([cell(value) for value in row])
        book.save(path)


OUTPUT_FORMATS: Mapping[str, OutputFormat] = MappingProxyType(
    {".csv": Csv(), ".csv.gz": Csv(), ".parquet": Parquet(), ".xlsx": Excel()}
)


def write_predictions(
    path: Path, new: "NewPredictions", template: TextTable | None = None, frames: Frames | None = None
) -> None:
    """Write predictions in the format that the ending of `path` names.

    Raises:
        PredictionError: as `require_writable` raises it, or the format has no place for the template or the frames.
    """
    require_writable(path)
    with atomic_path(path) as temporary:
        _format_of(path).write(temporary, new, template, frames)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table for people in the format that the ending of `path` names.

    Raises:
        PredictionError: as `require_writable` raises it, or the format is none of rows and columns.
    """
    require_writable(path)
    form = _format_of(path)
    if not isinstance(form, _Table):
        raise PredictionError(f"{path.name}: is no table of rows and columns; name a file that ends in .csv")
    with atomic_path(path) as temporary:
        form.save(table, temporary, for_people=True)


def require_writable(path: Path) -> None:
    """Make sure that predictions can be written where, and in the format that, `path` asks for.

    Raises:
        PredictionError: it is a folder or in one that is not there, its ending is none of a format's, or what the
            format needs is not installed.
    """
    if path.is_dir():
        raise PredictionError(f"{path}: is a folder; name the file to write, such as {path / 'predictions.csv'}")
    if not path.parent.is_dir():
        raise PredictionError(f"{path}: there is no folder {path.parent}; make it, or name a file in another folder")
    if missing := _format_of(path).missing():
        raise PredictionError(f"{path.name}: {missing}, or name a file that ends in .csv")


def read_template(path: Path) -> TextTable:
    """The template at `path`: a table whose column of clips and whose header are to be kept.

    Raises:
        LabelError: it is no table of clips, or names one twice.
    """
    template = read_table(path)
    template.require_single_rows([(clip_id,) for clip_id in template.clip_ids()])
    return template


@dataclass(frozen=True, kw_only=True)
class WantedClips:
    """The clips that the rows of a template mean.

    Attributes:
        ids: of the store, one a row.
        notes: what was taken for what, a sentence, if not all ids are the store's as they stand.
    """

    ids: tuple[str, ...]
    notes: tuple[str, ...]


def clips_of_template(template: TextTable, known: Iterable[str], rules: Sequence[IdRule] = ()) -> WantedClips:
    """Which clips of the store a template asks for.

    Args:
        template: the rows and columns that are wanted.
        known: ids of the clips that there are.
        rules: how ids of the template become the store's, where that is not to be found out.

    Raises:
        LabelError: two rows mean one clip.
        UnknownClipError: a row means no clip.
    """
    asked, clips = template.clip_ids(), list(known)
    matches = match_clips(asked, clips, template.name, rules)
    if matches.unknown:
        remedy = "featurize these clips or remove their rows, or say how the ids differ with --id-map FROM=TO"
        raise unknown_clips(template.name, matches.unknown, clips, remedy, "the store")
    ids = [matches.rename(clip_id) for clip_id in asked]
    template.require_single_rows([(clip_id,) for clip_id in ids])
    return WantedClips(ids=tuple(ids), notes=matches.notes)


def prediction_table(new: "NewPredictions", template: TextTable | None, frames: Frames | None) -> pd.DataFrame:
    """Predictions as rows and columns.

    Without a template the columns are `clip_id`, `status`, `origin` and one a class. With one, they are the template's,
    in its order, and so are the rows; a template has no place for a status or origin, nor for `frames`. Otherwise these
    become the last columns `top_frames_s`, seconds separated by spaces, and `top_frames_weight`, each frame's share in
    the answer.

    Raises:
        PredictionError: the template has a column that is no class of the run, or there are frames for a template.
    """
    if template is not None and frames is not None:
        raise PredictionError(
            f"{template.name}: --explain adds columns, for which a template has no place; leave one out"
        )
    table = new.to_frame()
    if template is not None:
        return _in_template_order(table[list(new.predictions.classes)], template)
    if frames is not None:
        moments = [frames.get(clip_id, ()) for clip_id in new.predictions.ids]
        table["top_frames_s"] = [" ".join(f"{each.time_s:.2f}" for each in some) for some in moments]
        table["top_frames_weight"] = [" ".join(f"{each.weight:.3f}" for each in some) for some in moments]
    return table


def _format_of(path: Path) -> OutputFormat:
    """The format that the ending of `path` names; CSV for a name without an ending."""
    name = path.name.lower() if path.suffix else ".csv"
    for ending, format_ in OUTPUT_FORMATS.items():
        if name.endswith(ending):
            return format_
    raise PredictionError(
        f"{path.name}: predictions are not written as '{path.suffix}'; name a file that ends in one of "
        f"{', '.join(OUTPUT_FORMATS)}"
    )


def _in_template_order(table: pd.DataFrame, template: TextTable) -> pd.DataFrame:
    """The class columns of the template, with the clips as the template writes them."""
    id_column = template.id_column
    columns = list(table.columns)
    asked = [name for name in template.columns if name != id_column]
    wanted = [known_class(name, columns) for name in asked]
    unknown = [name for name, meant in zip(asked, wanted, strict=True) if meant not in columns]
    if unknown:
        raise PredictionError(
            f"{template.name}: the run does not predict {name_a_few(unknown)}; it knows {name_a_few(table.columns)}"
        )
    ordered = table[wanted].set_axis(asked, axis="columns")
    ordered.insert(template.columns.index(id_column), id_column, template.column(id_column))
    return ordered.set_axis(list(template.header), axis="columns")
