"""Tables as the template draws them: every cell knows its text and the value it sorts by."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["text", "number"]
Tone = Literal["", "good", "bad", "quiet"]
Mark = Literal["", "chosen", "baseline"]
_ABSENT = "–"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column heading; `hint` explains it in a sentence, and `kind` says how its cells are set and sorted."""

    label: str
    hint: str = ""
    kind: Kind = "number"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell: what is shown, what it sorts by, the length of its bar and the depth of its shade (0 to 1), a link."""

    text: str
    value: str
    bar: float | None = None
    shade: float | None = None
    tone: Tone = ""
    link: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row; `mark` sets it off (the chosen blend, a baseline)."""

    cells: tuple[Cell, ...]
    mark: Mark = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table.

    Attributes:
        key: its id in the page.
        caption: what it shows.
        columns: headings.
        rows: cells under them.
        filter_label: names its filter box; "" for none.
        note: a sentence under it.
        choice: the column whose texts can be chosen among, to see the rows that hold one; None for no such choice.
        chosen: the text that is chosen at first; "" for all rows.
        stacks: whether each row becomes a card on a narrow screen, so that nothing has to be scrolled to.
    """

    key: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    filter_label: str = ""
    note: str = ""
    choice: int | None = None
    chosen: str = ""
    stacks: bool = False

    def without(self, *labels: str) -> "Table":
        """The same table without the columns of these labels."""
        kept = [place for place, column in enumerate(self.columns) if column.label not in labels]
        return replace(
            self,
            columns=tuple(self.columns[place] for place in kept),
            rows=tuple(replace(row, cells=tuple(row.cells[place] for place in kept)) for row in self.rows),
        )

    @property
    def explained(self) -> list[Column]:
        """The columns whose headings need a sentence; none where columns only name rows."""
        told = (column for column in self.columns if column.label and column.hint and not column.label.isdigit())
        return list(dict.fromkeys(told))

    @property
    def choices(self) -> list[str]:
        """The texts that can be chosen among, in the order in which they stand."""
        return [] if self.choice is None else list(dict.fromkeys(row.cells[self.choice].text for row in self.rows))


def text(value: str, *, tone: Tone = "", link: str = "") -> Cell:
    """A cell of words, which lead to `link` if there is one."""
    return Cell(text=value, value=value.casefold(), tone=tone, link=link)


def number(value: float | None, digits: int = 0, *, bar: float | None = None, tone: Tone = "") -> Cell:
    """A cell of a number with `digits` decimals; None is shown as a dash and sorts last."""
    if value is None or math.isnan(value):
        return Cell(text=_ABSENT, value="")
    return Cell(text=f"{value:,.{digits}f}".replace("-", "−"), value=repr(float(value)), bar=bar, tone=tone)


def percent(value: float | None, digits: int = 0, *, bar: float | None = None) -> Cell:
    """A cell of a share, shown in percent."""
    if value is None or math.isnan(value):
        return Cell(text=_ABSENT, value="")
    return Cell(text=f"{100 * value:.{digits}f} %", value=repr(float(value)), bar=bar)


def between(interval: Sequence[float] | None) -> Cell:
    """An interval of shares, 0 to 1, in per cent."""
    return text("" if interval is None else f"{100 * interval[0]:.0f} to {100 * interval[1]:.0f} %", tone="quiet")


def change(value: float | None, digits: int = 4) -> Cell:
    """A cell of a difference where less is better: signed, and toned by its direction."""
    if value is None or math.isnan(value):
        return Cell(text=_ABSENT, value="")
    rounded = round(value, digits)
    shown = f"{rounded:+.{digits}f}".replace("-", "−") if rounded else f"{0:.{digits}f}"
    return Cell(text=shown, value=repr(float(value)), tone="good" if rounded < 0 else "bad" if rounded > 0 else "quiet")


def columns(*specs: tuple[str, str, Kind]) -> tuple[Column, ...]:
    """Column headings from (label, hint, kind) triples."""
    return tuple(Column(label=label, hint=hint, kind=kind) for label, hint, kind in specs)


def longest(values: Sequence[float | None]) -> float:
    """The largest of `values`, to scale bars by; 1 if there is none above 0."""
    return max((value for value in values if value is not None), default=0.0) or 1.0
