"""How much speaks for an animal in a clip, before anybody has labelled one.

Evidence is what the views store anyway: how much differs from the camera's other clips and moves, and how sure the
detector is. What it counts for was fitted on 480 composed clips of other places (see docs/triage.md): the score is
theirs, and no probability of yours.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["blank", "animal", "cannot say"]

# Added to the energy, so that clips in which nothing happens have a logarithm too.
LEAST_ENERGY = 1e-4


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of a clip.

    Attributes:
        energy: the mean over its frames of how much differs or moves in the strongest box of the animal view.
        compared: whether enough other clips show the same framing; else animals at rest are not seen.
        detector: the detector's confidence in its surest box that is believed; None if it was not asked.
        at_s: when the strongest box was seen.
        frames: how many moments were looked at.
        whole: whether the clip was decoded to its end.
        moves: whether something moves in the strongest moment.
    """

    energy: float
    compared: bool
    detector: float | None
    at_s: float
    frames: int
    whole: bool = True
    moves: bool = False


@dataclass(frozen=True, kw_only=True)
class _Weights:
    """The weights of evidence, and up to and from which score a verdict is given (None: never)."""

    bias: float
    energy: float
    detector: float
    blank: float | None
    animal: float | None


# (compared, the detector was asked) to weights, fitted on composed clips with labels, as `benchmarks.triage` does; what
# the detector counts for was fitted on a third of them. Thresholds are those at which 95 of 100 of all of them were
# right; of clips that cannot be compared no score was low enough for that.
_WEIGHTS: Mapping[tuple[bool, bool], _Weights] = {
    (True, False): _Weights(bias=8.14, energy=2.87, detector=0.0, blank=0.132, animal=0.818),
    (True, True): _Weights(bias=7.85, energy=2.87, detector=3.08, blank=0.132, animal=0.818),
    (False, False): _Weights(bias=6.14, energy=1.89, detector=0.0, blank=None, animal=0.86),
    (False, True): _Weights(bias=5.93, energy=1.89, detector=4.08, blank=None, animal=0.86),
}


def animal_score(evidence: Evidence) -> float:
    """0 to 1: how much speaks for an animal."""
    weights = _WEIGHTS[evidence.compared, evidence.detector is not None]
    strength = weights.bias + weights.energy * math.log10(evidence.energy + LEAST_ENERGY)
    strength += weights.detector * (evidence.detector or 0.0)
    return 1 / (1 + math.exp(-strength))


def verdict(evidence: Evidence) -> Verdict:
    """What can be said of a clip.

    Never `blank` of one that broke part way, since the animal may be in the rest; nor of a single picture that nothing
    can be compared with.
    """
    weights = _WEIGHTS[evidence.compared, evidence.detector is not None]
    score = animal_score(evidence)
    if weights.animal is not None and score >= weights.animal:
        return "animal"
    seen = evidence.whole and (evidence.compared or evidence.frames > 1)
    return "blank" if seen and weights.blank is not None and score <= weights.blank else "cannot say"


def because(evidence: Evidence) -> str:
    """What speaks for an animal, or that nothing does, in words."""
    said = []
    if evidence.energy and evidence.compared:
        said.append("moves and differs from other clips" if evidence.moves else "differs from other clips at rest")
    elif evidence.energy:
        said.append("moves")
    if evidence.detector:
        said.append(f"detector {evidence.detector:.2f}")
    if not said:
        said.append("nothing moves or differs" if evidence.compared else "nothing moves")
    if not evidence.compared:
        said.append("no other clips to compare with")
    return "; ".join(said)
