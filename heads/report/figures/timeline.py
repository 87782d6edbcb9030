"""A small chart of numbers over the time of a clip, as SVG that stretches to the width it is given."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

_WIDTH, _HEIGHT = 600.0, 40.0
_COLOURS = ("var(--accent)", "var(--second)", "var(--third)")


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """Numbers over time: (T,) `times_s` in seconds, rising, and (T,) `values`, 0 or more."""

    name: str
    times_s: NDArray[np.float64]
    values: NDArray[np.float64]

    @classmethod
    def of_moments(
        cls, name: str, times_s: NDArray[np.float64], values: NDArray[np.float64], together: np.ufunc = np.maximum
    ) -> "Line":
        """A line of numbers of which several may stand at one moment, as they do where two things move in a frame.

        Args:
            name: of the line.
            times_s: (F,) rising, not always strictly.
            values: (F,) 0 or more.
            together: what those of one moment come to: the largest, or `numpy.add` for shares of a whole.
        """
        moments, place = np.unique(times_s, return_inverse=True)
        found = np.zeros(len(moments))
        together.at(found, place, values)
        return cls(name=name, times_s=moments, values=found)


def time_line(title: str, lines: Sequence[Line], marks_s: Sequence[float], highest: float | None = None) -> Markup:
    """The chart; nothing if there is no line. It has no ids, so that a clip's may stand in a page more than once.

    Args:
        title: what it shows, for people who do not see it.
        lines: three at most.
        marks_s: moments to mark on the axis.
        highest: what the chart's upper edge stands for; if None, each line is scaled to its own maximum.
    """
    if not lines:
        return Markup()
    first, last = min(line.times_s[0] for line in lines), max(line.times_s[-1] for line in lines)
    span = float(last - first) or 1.0
    drawn = [
        _polyline(line, colour, first, span, highest or float(line.values.max()) or 1.0)
        for line, colour in zip(lines, _COLOURS, strict=False)
    ]
    ticks = [
        f'<path d="M{_WIDTH * (mark - first) / span:.1f} {_HEIGHT}v-5" stroke="var(--ink)" '
        'vector-effect="non-scaling-stroke"/>'
        for mark in marks_s
    ]
    peaks = "; ".join(f"{line.name}: highest at {line.times_s[line.values.argmax()]:.1f} s" for line in lines)
    return Markup(
        f'<svg role="img" aria-label="{escape(title)}. {escape(peaks)}." viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" '
        f'preserveAspectRatio="none" xmlns="http://www.w3.org/2000/svg">{"".join(drawn)}{"".join(ticks)}</svg>'
    )


def legend(lines: Sequence[Line]) -> Markup:
    """The names of lines in their colours, each with its highest value and when that is."""
    named = [
        f'<span style="--line: {colour}">{escape(line.name)}, at most {line.values.max():.2f} '
        f"at {line.times_s[line.values.argmax()]:.1f} s</span>"
        for line, colour in zip(lines, _COLOURS, strict=False)
    ]
    return Markup(f'<p class="legend">{"".join(named)}</p>') if named else Markup()


def _polyline(line: Line, colour: str, first: float, span: float, highest: float) -> str:
    x = _WIDTH * (line.times_s - first) / span
    y = _HEIGHT - 2 - (_HEIGHT - 6) * line.values / highest
    points = " ".join(f"{left:.1f},{top:.1f}" for left, top in zip(x, y, strict=True))
    return (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5" '
        'vector-effect="non-scaling-stroke"/>'
    )
