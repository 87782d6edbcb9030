"""What teaches models that know something already: what they are unsure of, rare classes, what is unlike all labelled.

Each part proposes clips, the best first; `heads.selection.next_batch` takes of each its share.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from heads.data.labels import BLANK
from heads.evaluation.review import suspect_labels
from heads.selection.clusters import distance_to, spread_out
from heads.selection.pool import Pool
from heads.selection.queued import Pick
from store.ids import counted

_EPS = 1e-5
_PROPOSED = 4  # clips near a threshold for each that is taken: enough to choose different ones of
_RARE_SHARE = 0.5  # of the classes count as rare
_FARTHEST_AMONG = 4096  # clips among which the farthest is sought, the farthest ones at first
_SEEN_AS_ALIKE = 1e-6


def unsure(pool: Pool, count: int, rng: np.random.Generator) -> Iterator[Pick]:
    """Clips near the threshold of a class, each class in turn by chance, rare ones more often; unlike each other first.

    Source: margin sampling; Ash et al., "Deep batch active learning by diverse, uncertain gradient lower bounds"
    (arXiv 1906.03671): the gradient of a linear head at a clip is what it errs by times what it sees.
    """
    probabilities = _probabilities(pool)
    margins = np.abs(_logit(probabilities) - _logit(_thresholds(pool)))
    proposed = _near_thresholds(pool, margins, _PROPOSED * count, rng)
    rows, of_class = np.array([row for row, _ in proposed], np.int64), dict(proposed)
    for place in spread_out(_gradients(pool, rows), len(rows), rng):
        row = int(rows[place])
        column = of_class[row]
        yield Pick(
            row=row,
            score=-float(margins[row, column]),
            reason=f"the models are least sure whether it shows {pool.classes[column]} "
            f"(probability {probabilities[row, column]:.2f})",
        )


def rare(pool: Pool, count: int, rng: np.random.Generator) -> Iterator[Pick]:
    """Clips that may show a class of which few clips are known: each such class in turn, the rarest first.

    Of each class the clip with the highest probability and the one most like its known clips take turns.
    """
    positives = pool.labels[pool.labelled].sum(axis=0)
    own = [place for place, name in enumerate(pool.classes) if name != BLANK]
    classes = sorted(own, key=lambda column: int(positives[column]))[: max(round(_RARE_SHARE * len(own)), 1)]
    turns = [each for column in classes for each in (_by_probability(pool, column), _by_likeness(pool, column))]
    while turns:
        left = []
        for each in turns:
            pick = next(each, None)
            if pick is not None:
                left.append(each)
                yield pick
        turns = left


def new(pool: Pool, count: int, rng: np.random.Generator) -> Iterator[Pick]:
    """Clips that are least like any that is labelled, nor like each other: the farthest first."""
    rows = np.flatnonzero(pool.open & pool.moves)
    gap = distance_to(pool.embedding[rows], pool.embedding[np.flatnonzero(pool.labelled)])
    nearest = np.argsort(-gap, kind="stable")[: max(_FARTHEST_AMONG, 2 * count)]
    rows, gap = rows[nearest], gap[nearest]
    while len(rows):
        place = int(gap.argmax())
        if gap[place] < _SEEN_AS_ALIKE:
            return
        yield Pick(
            row=int(rows[place]),
            score=float(gap[place]),
            reason=f"looks like no labelled clip: the nearest is alike by {1 - gap[place]:.2f} of 1",
        )
        gap = np.minimum(gap, 1.0 - pool.embedding[rows] @ pool.embedding[rows[place]])


_SAID = 0.1  # from which probability on a class that is not labelled is worth a word


def suspect(pool: Pool, count: int, rng: np.random.Generator) -> Iterator[Pick]:
    """Labelled clips whose label the models do not believe, the least credible first, but for what a person settled."""
    rows = np.flatnonzero(pool.labelled)  # also those that are settled: what labels usually get is measured on all
    if pool.probabilities is None or not len(rows):
        return
    known = np.ones((len(rows), len(pool.classes)), bool) if pool.known is None else pool.known[rows]
    for found in suspect_labels(pool.labels[rows], pool.probabilities[rows], known):
        if pool.reviewed[rows[found.clip]]:
            continue
        labelled = "no class" if found.labelled is None else pool.classes[found.labelled]
        answers = pool.probabilities[rows[found.clip]]
        said = 0.0 if found.labelled is None else float(answers[found.labelled])
        # Of two labels one may be wrong, and nothing else be there.
        other = found.instead is not None and answers[found.instead] >= max(said, _SAID)
        instead = f", and say {pool.classes[found.instead]}" if other and found.instead is not None else ""
        yield Pick(
            row=int(rows[found.clip]),
            score=found.excess,
            reason=f"labelled {labelled}, to which the models give {said:.2f}{instead}"
            if found.labelled is not None
            else f"labelled with no class{instead.replace(', and say', ', but the models say')}",
        )


def _near_thresholds(
    pool: Pool, margins: NDArray[np.float64], most: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """(row, class) of open clips near a threshold; each clip once."""
    rows = np.flatnonzero(pool.open)
    positives = pool.labels[pool.labelled].sum(axis=0)
    weights = 1.0 / np.sqrt(positives + 1.0)
    order = {
        column: iter(rows[np.argsort(margins[rows, column], kind="stable")].tolist()) for column in range(len(weights))
    }
    found: dict[int, int] = {}
    for column in rng.choice(len(weights), size=4 * most, p=weights / weights.sum()).tolist():
        if len(found) >= min(most, len(rows)):
            break
        row = next((each for each in order[column] if each not in found), None)
        if row is not None:
            found[row] = column
    return list(found.items())


def _gradients(pool: Pool, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """(n, C * D) by what a linear head's weights would change at each clip, were its answer the likelier one."""
    probabilities = _probabilities(pool)[rows]
    said = probabilities >= _thresholds(pool)
    errors = (probabilities - said).astype(np.float32)
    gradients = errors[:, :, None] * pool.embedding[rows][:, None, :]
    return np.asarray(gradients.reshape(len(rows), gradients.shape[1] * gradients.shape[2]))


def _by_probability(pool: Pool, column: int) -> Iterator[Pick]:
    if pool.probabilities is None:
        return
    rows, known = np.flatnonzero(pool.open), int(pool.labels[pool.labelled, column].sum())
    for row in rows[np.argsort(-pool.probabilities[rows, column], kind="stable")].tolist():
        said = float(pool.probabilities[row, column])
        yield Pick(
            row=row,
            score=said,
            reason=f"may show {pool.classes[column]} (probability {said:.2f}), of which "
            f"{counted(known, 'clip', 'are')} known",
        )


def _by_likeness(pool: Pool, column: int) -> Iterator[Pick]:
    shown = np.flatnonzero(pool.labelled & (pool.labels[:, column] == 1))
    if not len(shown):
        return
    rows = np.flatnonzero(pool.open)
    alike = pool.embedding[rows] @ pool.embedding[shown].T
    nearest, best = alike.argmax(axis=1), alike.max(axis=1)
    for place in np.argsort(-best, kind="stable").tolist():
        yield Pick(
            row=int(rows[place]),
            score=float(best[place]),
            reason=f"looks like {pool.ids[shown[nearest[place]]]}, which shows {pool.classes[column]}, of which "
            f"{counted(len(shown), 'clip', 'are')} known",
        )


def _probabilities(pool: Pool) -> NDArray[np.float64]:
    if pool.probabilities is None:
        raise ValueError("there are no probabilities before the first run")
    return pool.probabilities


def _thresholds(pool: Pool) -> NDArray[np.float64]:
    return np.full(len(pool.classes), 0.5) if pool.thresholds is None else pool.thresholds


def _logit(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    sure = np.clip(probabilities, _EPS, 1 - _EPS)
    logits: NDArray[np.float64] = np.log(sure) - np.log1p(-sure)
    return logits
