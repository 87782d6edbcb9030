"""A small chart of numbers over the time of a clip, as SVG that stretches to the width it is given."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

_WIDTH, _HEIGHT = 600.0, 40.0
_COLOURS = ("var(--accent)", "var(--second)")


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """Numbers over time: (T,) `times_s` in seconds, rising, and (T,) `values`, 0 or more."""

    name: str
    times_s: NDArray[np.float64]
    values: NDArray[np.float64]


def time_line(key: str, lines: Sequence[Line], marks_s: Sequence[float]) -> Markup:
    """The chart, each line scaled to its own maximum; nothing if there is no line.

    Args:
        key: unique in the page; part of the ids.
        lines: two at most.
        marks_s: moments to mark on the axis.
    """
    if not lines:
        return Markup()
    first, last = min(line.times_s[0] for line in lines), max(line.times_s[-1] for line in lines)
    span = float(last - first) or 1.0
    drawn = [_polyline(line, colour, first, span) for line, colour in zip(lines, _COLOURS, strict=False)]
    ticks = [
        f'<path d="M{_WIDTH * (mark - first) / span:.1f} {_HEIGHT}v-5" stroke="var(--ink)" '
        'vector-effect="non-scaling-stroke"/>'
        for mark in marks_s
    ]
    peaks = "; ".join(f"{line.name}: highest at {line.times_s[line.values.argmax()]:.1f} s" for line in lines)
    return Markup(
        f'<svg role="img" aria-labelledby="{key}-title {key}-desc" viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" '
        f'preserveAspectRatio="none" xmlns="http://www.w3.org/2000/svg"><title id="{key}-title">Over time</title>'
        f'<desc id="{key}-desc">{escape(peaks)}.</desc>{"".join(drawn)}{"".join(ticks)}</svg>'
    )


def _polyline(line: Line, colour: str, first: float, span: float) -> str:
    highest = float(line.values.max()) or 1.0
    x = _WIDTH * (line.times_s - first) / span
    y = _HEIGHT - 2 - (_HEIGHT - 6) * line.values / highest
    points = " ".join(f"{left:.1f},{top:.1f}" for left, top in zip(x, y, strict=True))
    return (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5" '
        'vector-effect="non-scaling-stroke"/>'
    )
