"""What a blender says of clips that it was not fitted on."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.blending.blenders.logits import of_clips
from heads.blending.blenders.protocol import Blender, Stack

Run = Callable[[Callable[..., Any], Iterable[Any]], Iterable[Any]]
_MOST_AHEAD = 2**28  # bytes of a stack of which two folds may be at work at once, each with a copy of its clips


def cross_fit(
    blender: Blender,
    stack: Stack,
    labels: NDArray[np.uint8],
    fold: NDArray[np.int64],
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """(N, C) probabilities, each fold blended by a fit on the other folds.

    Clips count as (N,) `weights` say; all alike if None. A blender of complexity 0 fits nothing, so it is applied to
    all folds at once.
    """
    return cross_fit_each([blender], stack, labels, fold, weights)[0]


def cross_fit_each(
    blenders: Sequence[Blender],
    stack: Stack,
    labels: NDArray[np.uint8],
    fold: NDArray[np.int64],
    weights: NDArray[np.float64] | None = None,
    run: Run = map,
) -> list[NDArray[np.float64]]:
    """The same of several blenders, for which the clips of each fold are picked out once.

    `run` does what `map` does, perhaps several at a time.
    """
    found, fitted = [], []
    for place, each in enumerate(blenders):
        if not each.complexity:
            found.append(each.predict(stack, each.fit(stack, labels, fold)))
            continue
        found.append(np.full(labels.shape, np.nan))
        at_once = each.fit_without_each_fold(stack, labels, fold)
        if at_once is None:
            fitted.append(place)
        for number, parameters in (at_once or {}).items():
            scored = fold == number
            found[place][scored] = each.predict(of_clips(stack, scored), parameters)
    begun: deque[tuple[NDArray[np.bool_], Iterable[NDArray[np.float64]]]] = deque()

    def collect() -> None:
        scored, answers = begun.popleft()
        for place, said in zip(fitted, answers, strict=True):
            found[place][scored] = said

    failed = Event()
    try:
        for number in np.unique(fold) if fitted else ():
            scored = fold == number
            own = None if weights is None else weights[~scored]
            answer = partial(
                _answer, failed, of_clips(stack, ~scored), labels[~scored], fold[~scored], own, of_clips(stack, scored)
            )
            begun.append((scored, run(answer, [blenders[place] for place in fitted])))
            if len(begun) > 1 or stack.nbytes > _MOST_AHEAD:
                collect()
        while begun:
            collect()
    except BaseException:
        failed.set()
        raise
    return found


def _answer(
    failed: Event,
    learned: Stack,
    labels: NDArray[np.uint8],
    fold: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
    asked: Stack,
    blender: Blender,
) -> NDArray[np.float64]:
    if failed.is_set():  # nobody waits for it any more
        return np.empty(0)
    return blender.predict(asked, blender.fit_weighted(learned, labels, fold, weights))
