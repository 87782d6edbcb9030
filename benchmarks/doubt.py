"""How many looks it takes until records of species by site and week are right, in different orders of looking.

    python -m benchmarks.doubt --run RUN [--times sites.csv] [--most 120] [--step 20]

The clips of a blended run, with its answers out of fold, stand for a collection that nobody has looked at; a look shows
what the clip's label says. A record, a species at a site in a week, is taken to hold from a probability of one half
that any clip of it shows the species. Orders: what removes most doubt, asked again every `--step` looks; the least
confident clip first; by chance (mean of ten). Without times, records are of sites alone. Prints how many records are
wrong after so many looks, how many of them miss a species, and one JSON line.
"""

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heads.data.labels import BLANK
from heads.data.reading.capture_times import TimeSource, capture_times, on_one_clock
from heads.evaluation.review import entropy
from heads.run import BLEND, RunDirectory
from heads.selection.doubt import weeks
from heads.selection.pool import Pool
from heads.selection.queue import make_queue

CHANCES = 10
Next = Callable[[Pool, int], NDArray[np.int64]]


def read_pool(run: RunDirectory, times: Path | None) -> Pool:
    answers = run.read_oof(BLEND)
    labels = run.read_labels().select(answers.ids).only(answers.classes)
    pool = replace(
        Pool.of(answers.ids, classes=answers.classes, sites=labels.sites),
        probabilities=answers.probabilities,
        labels=labels.values,
    )
    if times is None:
        return pool
    facts = pd.DataFrame({"recorded_at": [""] * len(answers.ids)}, index=list(answers.ids))
    when = on_one_clock(capture_times(answers.ids, facts, TimeSource(table=times)).stated, None)
    return replace(pool, times=np.array([when.get(clip_id, "NaT") for clip_id in answers.ids], "datetime64[s]"))


def by_doubt(pool: Pool, count: int) -> NDArray[np.int64]:
    return pool.rows_of([each.clip_id for each in make_queue(pool, strategy="doubt", count=count)])


def least_confident(pool: Pool, count: int) -> NDArray[np.int64]:
    assert pool.probabilities is not None
    rows = np.flatnonzero(pool.open)
    return rows[np.argsort(-entropy(pool.probabilities[rows]), kind="stable")[:count]]


def by_chance(seed: int) -> Next:
    return lambda pool, count: np.random.default_rng(seed).permutation(np.flatnonzero(pool.open))[:count]


def wrong(pool: Pool, truth: NDArray[np.uint8]) -> tuple[int, int]:
    """How many records are wrong, and how many of these miss a species that is there."""
    columns = [column for column, name in enumerate(pool.classes) if name != BLANK]
    _, site = np.unique(np.array(pool.sites), return_inverse=True)
    _, cell = np.unique(np.stack([site, weeks(pool.times, len(pool))]), axis=1, return_inverse=True)
    said = np.where(pool.labelled[:, None], truth, pool.probabilities)[:, columns]
    cells = int(cell.max()) + 1
    none, there = np.ones((cells, len(columns))), np.zeros((cells, len(columns)), bool)
    np.multiply.at(none, cell.reshape(-1), 1 - said)
    np.logical_or.at(there, cell.reshape(-1), truth[:, columns] == 1)
    held = none < 0.5
    return int((held != there).sum()), int((there & ~held).sum())


def follow(pool: Pool, order: Next, most: int, step: int) -> list[tuple[int, int, int]]:
    truth, own, found = pool.labels, pool, []
    while True:
        done = int(own.labelled.sum())
        found.append((done, *wrong(own, truth)))
        rows = order(own, min(step, most - done)) if done < most else np.empty(0, np.int64)
        if not len(rows):
            return found
        labelled = own.labelled.copy()
        labelled[rows] = True
        own = replace(own, labelled=labelled, labels=np.where(labelled[:, None], truth, 0).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--times", type=Path)
    parser.add_argument("--most", type=int, default=120)
    parser.add_argument("--step", type=int, default=20)
    given = parser.parse_args()
    pool = read_pool(RunDirectory(given.run), given.times)
    results: dict[str, Any] = {
        "doubt": follow(pool, by_doubt, given.most, given.step),
        "least confident": follow(pool, least_confident, given.most, given.step),
    }
    chances = [follow(pool, by_chance(seed), given.most, given.step) for seed in range(CHANCES)]
    results["chance"] = np.mean(chances, axis=0).tolist()
    for name, rows in results.items():
        print(
            f"{name:>16}  " + "  ".join(f"{done:.0f}: {all_:.1f} ({missed:.1f} missed)" for done, all_, missed in rows)
        )
    print(json.dumps(results))


if __name__ == "__main__":
    main()
