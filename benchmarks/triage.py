"""How well `featurize --triage` tells blank clips from others, and what its evidence is worth.

    featurize --triage CLIPS --out blanks.csv --store STORE      # for both sets
    python -m benchmarks.triage CLIPS STORE --on OTHER_CLIPS OTHER_STORE

Each folder of clips has a `labels.csv` with the columns `filename` and `blank`. Weights of evidence and thresholds are
found on the first set, and scored on it and on the second: with and without the detector if both stores hold what it
found, and as if no clip could be compared with others. Printed are precision and recall of what is called blank and of
what is said to show an animal, the share of which neither is said, and the AUC of the score.
"""

import argparse
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from featurize.pipeline.glance.blankness import LEAST_ENERGY, Evidence
from featurize.pipeline.glance.triage import judge
from store import FeatureStore

RIGHT = 0.95  # of what is said on the set that thresholds are found on
FEWEST = 10


@dataclass(frozen=True, kw_only=True)
class Judgements:
    """Evidence of clips, and whether each shows an animal."""

    evidence: tuple[Evidence, ...]
    animal: NDArray[np.int64]

    def among(self, *, compared: bool | None, asked: bool) -> "Judgements":
        """The clips of which there is such evidence; without the detector, what it found is forgotten."""
        keep = [
            place
            for place, each in enumerate(self.evidence)
            if (compared is None or each.compared == compared) and (each.detector is not None or not asked)
        ]
        found = tuple(self.evidence[place] for place in keep)
        return Judgements(
            evidence=found if asked else tuple(replace(each, detector=None) for each in found), animal=self.animal[keep]
        )


def read(clips: Path, root: Path, views: tuple[str, ...]) -> Judgements:
    labels = pd.read_csv(clips / "labels.csv").set_index("filename")["blank"]
    judged = [each for each in judge([clips], FeatureStore.open(root), views) if each.evidence is not None]
    animal = np.array([1 - int(labels[each.clip.clip_id]) for each in judged])
    return Judgements(evidence=tuple(each.evidence for each in judged if each.evidence), animal=animal)


def columns(judgements: Judgements) -> NDArray[np.float64]:
    energy = np.log10([each.energy + LEAST_ENERGY for each in judgements.evidence])
    sure = [each.detector for each in judgements.evidence]
    return np.column_stack([energy, np.array(sure, float)] if None not in sure else [energy])


def thresholds(score: NDArray[np.float64], animal: NDArray[np.int64]) -> tuple[float | None, float | None]:
    """Up to which score clips may be called blank, and from which they may be said to show an animal."""
    values = np.unique(score)

    def holds(said: NDArray[np.bool_], truth: int) -> bool:
        return int(said.sum()) >= FEWEST and float((animal[said] == truth).mean()) >= RIGHT

    blank = [float(value) for value in values if holds(score <= value, 0)]
    shown = [float(value) for value in values if holds(score >= value, 1)]
    return max(blank, default=None), min(shown, default=None)


def figures(
    score: NDArray[np.float64], animal: NDArray[np.int64], blank: float | None, shown: float | None
) -> dict[str, Any]:
    never = np.zeros(len(score), bool)
    as_blank = never if blank is None else score <= blank
    as_animal = never if shown is None else score >= shown
    return {
        "clips": len(score),
        "blank_precision": _share(animal[as_blank] == 0),
        "blank_recall": _share(as_blank[animal == 0]),
        "animal_precision": _share(animal[as_animal] == 1),
        "animal_recall": _share(as_animal[animal == 1]),
        "neither": _share(~as_blank & ~as_animal),
        "auc": round(float(roc_auc_score(animal, score)), 3),
    }


def measure(fitted: Judgements, other: Judgements) -> dict[str, Any]:
    model = LogisticRegression(C=10.0).fit(columns(fitted), fitted.animal)
    ours, theirs = (model.predict_proba(columns(each))[:, 1] for each in (fitted, other))
    blank, shown = thresholds(ours, fitted.animal)
    return {
        "weights": [round(float(value), 2) for value in (*model.intercept_, *model.coef_[0])],
        "thresholds": [None if value is None else round(value, 3) for value in (blank, shown)],
        "itself": figures(ours, fitted.animal, blank, shown),
        "other": figures(theirs, other.animal, blank, shown),
    }


def _share(truths: NDArray[np.bool_]) -> float | None:
    return round(float(truths.mean()), 3) if len(truths) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("--on", type=Path, nargs=2, required=True, metavar=("CLIPS", "STORE"))
    parser.add_argument("--detector", action="store_true", help="both stores hold what the detector found")
    words = parser.parse_args()
    views = ("animal", "motion", "detector") if words.detector else ("animal", "motion")
    fitted, other = read(words.clips, words.store, views), read(words.on[0], words.on[1], views)
    for asked in (False, True) if words.detector else (False,):
        found = measure(fitted.among(compared=None, asked=asked), other.among(compared=None, asked=asked))
        print(json.dumps({"detector": asked, **found}))


if __name__ == "__main__":
    main()
