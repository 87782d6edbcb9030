"""Matplotlib figures as inline SVG that takes its colours from the page and tells screen readers what it shows."""

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Matplotlib knows no CSS variables, so figures are drawn in these colours and the page's are put in their place.
INK, FAINT, ACCENT, SECOND = "#0a0a01", "#0a0a02", "#0a0a03", "#0a0a04"
_VARIABLES = {INK: "var(--ink)", FAINT: "var(--rule)", ACCENT: "var(--accent)", SECOND: "var(--second)"}
_POINT_PX = 96 / 72
_NARROWEST = 0.7  # of its width: below that a chart scrolls, so that its text can be read on a telephone
_STYLE: Mapping[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a species or file name may hold a dollar sign
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "figure.facecolor": "none",
    "legend.frameon": False,
}


@contextmanager
def chart_style(key: str) -> Iterator[None]:
    """Matplotlib's settings for the charts of a report; `key` keeps the ids in one chart apart from those in others."""
    import matplotlib as mpl

    settings: Any = {**_STYLE, "svg.hashsalt": key}
    with mpl.rc_context(settings), warnings.catch_warnings():
        # Text stays text in the SVG: the browser has the letters that matplotlib's own font, used to measure, lacks.
        warnings.filterwarnings("ignore", r"Glyph .* missing from|Matplotlib currently does not support")
        yield


def inline_svg(figure: "Figure", key: str, title: str, description: str) -> Markup:
    """The figure as an `<svg>` element.

    Args:
        figure: drawn under `chart_style`, in this module's colours.
        key: unique in the page; part of the ids.
        title: what the chart is, one short sentence.
        description: what it shows, in words, for people who do not see it.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r"<!--.*?-->", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r' id="[\w.]+_\d+"', "", drawing)
    drawing = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", drawing)
    for colour, variable in _VARIABLES.items():
        drawing = drawing.replace(colour, variable)
    box = _view_box(drawing)
    width = float(box.split()[2]) * _POINT_PX
    opening = (
        f'<svg role="img" aria-labelledby="{key}-title {key}-desc" style="max-width: {width:.0f}px; '
        f'min-width: {_NARROWEST * width:.0f}px" '
        f'viewBox="{box}" xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<title id="{key}-title">{escape(title)}</title><desc id="{key}-desc">{escape(description)}</desc>'
    )
    return Markup(opening + drawing[drawing.index(">") + 1 :])


def _view_box(drawing: str) -> str:
    found = re.search(r'viewBox="([^"]+)"', drawing)
    if found is None:
        raise ValueError("matplotlib wrote an SVG without a viewBox")
    return found[1]
