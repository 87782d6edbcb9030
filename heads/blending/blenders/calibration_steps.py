"""What may be done to probabilities after their calibration, each step only where it helps on folds it has not seen.

Isotonic regression bends a class whose reliability no slope and offset can mend. Reconciliation lowers species where
`blank` is probable, and `blank` where species are, as far as the data say that the models have not done so themselves.
Limits keep a class from being surer than it has been right.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from heads.blending.blenders.logits import losses_of_logits, to_logits, to_probabilities
from heads.blending.blenders.newton import newton
from heads.evaluation.metrics import rising_with_labels

_MOST_CLIPS = 20_000
_FEWEST_POSITIVES = 50
_KNOTS = 60
_MOST_LIMIT = 0.02
_EXCLUSIVE = 0.9
_WARY = 10.0  # strength of the penalty that holds reconciliation back

Probabilities = NDArray[np.float64]
Labels = NDArray[np.uint8]


class Step(Protocol):
    """A correction of (N, C) probabilities with JSON values as parameters."""

    whole: bool  # whether it is kept for all classes or none, rather than class by class

    def fit(self, probabilities: Probabilities, labels: Labels) -> dict[str, Any]:
        """Find the parameters."""

    def apply(self, probabilities: Probabilities, parameters: Mapping[str, Any]) -> Probabilities:
        """The corrected probabilities."""


class Isotonic:
    """A rising curve for each class with at least 50 clips that show it and 50 that do not; others stay.

    Source: B. Zadrozny and C. Elkan, "Transforming classifier scores into accurate multiclass probability estimates"
    (KDD 2002).
    """

    whole = False

    def fit(self, probabilities: Probabilities, labels: Labels) -> dict[str, Any]:
        """Find `curves`: for each class None, or the logits of what was said and of what was true, both rising."""
        from sklearn.isotonic import IsotonicRegression

        curves: list[list[list[float]] | None] = []
        for said, true in zip(probabilities.T, labels.T, strict=True):
            if min(int(true.sum()), int((1 - true).sum())) < _FEWEST_POSITIVES:
                curves.append(None)
                continue
            knots = np.unique(np.quantile(said, np.linspace(0, 1, _KNOTS)))
            fitted = IsotonicRegression(y_min=1e-4, y_max=1 - 1e-4, out_of_bounds="clip").fit(said, true)
            curves.append([to_logits(knots).tolist(), to_logits(fitted.predict(knots)).tolist()])
        return {"curves": curves}

    def apply(self, probabilities: Probabilities, parameters: Mapping[str, Any]) -> Probabilities:
        """Bend."""
        logits = to_logits(probabilities)
        for column, curve in enumerate(parameters["curves"]):
            if curve is not None:
                logits[:, column] = np.interp(logits[:, column], *curve)
        return to_probabilities(logits)


class Reconcile:
    """What is said of `blank` weighs on the species, and what is said of them on it.

    A species' logit gains `down` times the logarithm of the probability that the clip is not blank; the logit of blank
    gains `up` times the logarithm of the probability that no species is there. Neither can be negative.
    """

    whole = True

    def fit(self, probabilities: Probabilities, labels: Labels) -> dict[str, Any]:
        """Find `down` and `up`; `blank` is the column that shows nothing else, None if there is none."""
        blank = exclusive_column(labels)
        if blank is None:
            return {"blank": None, "down": 0.0, "up": 0.0}
        logits, weights = to_logits(probabilities), _evidence(probabilities, blank)
        species = np.delete(np.arange(labels.shape[1]), blank)
        asked = np.repeat(weights[:, 0], len(species))
        down = newton(asked[None, None], logits[:, species].reshape(1, -1), labels[:, species].reshape(1, -1), _WARY)
        up = newton(weights[None, :, 1:].transpose(0, 2, 1), logits[None, :, blank], labels[None, :, blank], _WARY)
        return {"blank": blank, "down": max(float(down[0, 0]), 0.0), "up": max(float(up[0, 0]), 0.0)}

    def apply(self, probabilities: Probabilities, parameters: Mapping[str, Any]) -> Probabilities:
        """Weigh."""
        blank = parameters["blank"]
        if blank is None:
            return probabilities
        weights, logits = _evidence(probabilities, blank), to_logits(probabilities)
        own = logits[:, blank] + parameters["up"] * weights[:, 1]
        logits += parameters["down"] * weights[:, :1]
        logits[:, blank] = own
        return to_probabilities(logits)


class Limits:
    """The least and the most that a class's probability may be."""

    whole = False

    def fit(self, probabilities: Probabilities, labels: Labels) -> dict[str, Any]:
        """Find `low` and `high`, (C) each: of the limits up to 0.02 those with the lowest log loss."""
        limits = [_limits(said, true) for said, true in zip(probabilities.T, labels.T, strict=True)]
        return {"low": [low for low, _ in limits], "high": [high for _, high in limits]}

    def apply(self, probabilities: Probabilities, parameters: Mapping[str, Any]) -> Probabilities:
        """Clip."""
        return np.clip(probabilities, np.array(parameters["low"]), np.array(parameters["high"]))


STEPS: Mapping[str, Step] = {"isotonic": Isotonic(), "reconcile": Reconcile(), "limits": Limits()}


def fit_steps(probabilities: Probabilities, labels: Labels, fold: NDArray[np.int64]) -> list[dict[str, Any]]:
    """The steps that help, in order, each as `step`, `classes` (C: where it is used) and `parameters`.

    A step helps a class if on the folds that it was not fitted on it lowers the log loss by more than one standard
    error over folds. Large tables are thinned to 20,000 clips.
    """
    every = max(1, -(-len(labels) // _MOST_CLIPS))
    probabilities, labels, fold = probabilities[::every], labels[::every], fold[::every]
    kept = []
    for name, step in STEPS.items():
        crossed, helps = _cross(step, probabilities, labels, fold)
        if helps.any():
            kept.append({"step": name, "classes": helps.tolist(), "parameters": step.fit(probabilities, labels)})
            probabilities = np.where(helps, crossed, probabilities)
    return kept


def apply_steps(probabilities: Probabilities, steps: list[dict[str, Any]]) -> Probabilities:
    """The probabilities after `steps`."""
    for each in steps:
        after = STEPS[each["step"]].apply(probabilities, each["parameters"])
        probabilities = np.where(each["classes"], after, probabilities)
    return probabilities


def exclusive_column(labels: Labels) -> int | None:
    """The class that stands where no other does, as `blank` should: always alone, and on nine tenths of such clips."""
    count = labels.sum(axis=1)
    for column in np.argsort(-labels.sum(axis=0), kind="stable").tolist():
        here = labels[:, column] == 1
        others = count - labels[:, column]
        if here.any() and not others[here].any() and here.sum() >= _EXCLUSIVE * (others == 0).sum():
            return int(column) if labels.shape[1] > 1 else None
    return None


def _cross(
    step: Step, probabilities: Probabilities, labels: Labels, fold: NDArray[np.int64]
) -> tuple[Probabilities, NDArray[np.bool_]]:
    """The probabilities as the step makes them on folds that it has not seen, and for which classes it helps, (C,)."""
    crossed, gains = np.empty_like(probabilities), []
    for number in np.unique(fold):
        scored = fold == number
        crossed[scored] = step.apply(probabilities[scored], step.fit(probabilities[~scored], labels[~scored]))
        before, after = (losses_of_logits(to_logits(each[scored]), labels[scored]) for each in (probabilities, crossed))
        gains.append(before - after)
    gain = np.array(gains)
    if step.whole:
        gain = np.repeat(gain.mean(axis=1, keepdims=True), labels.shape[1], axis=1)
    helps: NDArray[np.bool_] = gain.mean(axis=0) > gain.std(axis=0, ddof=1) / np.sqrt(len(gain))
    return crossed, helps


def _evidence(probabilities: Probabilities, blank: int) -> NDArray[np.float64]:
    """(N, 2): the logarithms of the probabilities that the clip is not blank, and that it shows no species."""
    absent = np.log1p(-np.clip(probabilities, 1e-6, 1 - 1e-6))
    return np.stack([absent[:, blank], absent.sum(axis=1) - absent[:, blank]], axis=1)


def _limits(said: NDArray[np.float64], true: NDArray[np.uint8]) -> tuple[float, float]:
    """The lower and the upper limit of (N,) probabilities that make them most likely."""
    rising, shown = rising_with_labels(np.clip(said, 1e-6, 1 - 1e-6), true)
    return _lower_limit(rising, shown), 1 - _lower_limit(1 - rising[::-1], 1 - shown[::-1])


def _lower_limit(rising: NDArray[np.float64], shown: NDArray[np.uint8]) -> float:
    losses = np.r_[0.0, np.cumsum(-np.log(np.where(shown == 1, rising, 1 - rising)))]
    hits = np.r_[0, np.cumsum(shown, dtype=np.int64)]
    limits = np.r_[1e-6, np.geomspace(1e-5, _MOST_LIMIT, 24)]
    below = np.searchsorted(rising, limits)
    change = -hits[below] * np.log(limits) - (below - hits[below]) * np.log1p(-limits) - losses[below]
    return float(limits[change.argmin()])
