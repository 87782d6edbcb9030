"""Reliability species by species: one small drawing each, side by side."""

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from heads.evaluation.metrics import expected_calibration_error, reliability
from heads.report.run_facts import RunFacts

_SIDE, _EDGE = 100.0, 4.0
_STEPS = 10


@dataclass(frozen=True, kw_only=True)
class Multiple:
    """A small drawing with the species' name, how many clips show it, and how far probabilities are off on the mean."""

    name: str
    support: int
    error: float
    drawing: Markup


def species_reliability(facts: RunFacts) -> list[Multiple]:
    """What happened where the blend said p, for each species; those that most clips show come first."""
    support = facts.values.sum(axis=0)
    return [_multiple(facts, column) for column in np.argsort(-support, kind="stable").tolist()]


def _multiple(facts: RunFacts, column: int) -> Multiple:
    values, said = facts.values[:, [column]], facts.blend.probabilities[:, [column]]
    key = f"reliability-{column}"
    name, steps = facts.blend.classes[column], reliability(values, said, _STEPS)
    places = [(_x(step["predicted"]), _y(step["observed"]), 1.2 + 1.1 * np.log10(step["count"])) for step in steps]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>' for x, y, radius in places)
    told = "; ".join(
        f"said {step['predicted']:.2f}, true {step['observed']:.2f} of {step['count']:,}" for step in steps
    )
    drawing = (
        f'<svg role="img" aria-labelledby="{key}-title {key}-desc" viewBox="0 0 {_SIDE:.0f} {_SIDE:.0f}" '
        f'xmlns="http://www.w3.org/2000/svg"><title id="{key}-title">Reliability of {escape(name)}</title>'
        f'<desc id="{key}-desc">{escape(told)}.</desc>'
        f'<path d="M{_x(0)} {_y(0)}V{_y(1)}H{_x(1)}V{_y(0)}Z" fill="none" stroke="var(--rule)"/>'
        f'<path d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}" stroke="var(--soft)" stroke-dasharray="3 3"/>'
        f'<polyline points="{path}" fill="none" stroke="var(--accent)" opacity="0.5"/>'
        f'<g fill="var(--accent)">{dots}</g></svg>'
    )
    return Multiple(
        name=name,
        support=int(values.sum()),
        error=expected_calibration_error(values, said, _STEPS),
        drawing=Markup(drawing),
    )


def _x(share: float) -> float:
    return _EDGE + (_SIDE - 2 * _EDGE) * share


def _y(share: float) -> float:
    return _SIDE - _x(share)
