"""A head's progress through its epochs: kept on disk so that a stopped run goes on, and told to whoever watches."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heads.data.history import Epoch
from store.files import atomic_path

_SECONDS_BETWEEN = 2.0
_MOST_TIME = 0.05  # of training may go into writing states, on a disk however slow


@dataclass(kw_only=True, eq=False)
class Checkpoint:
    """Where training stands; `path` holds it between two processes.

    A state is written after an epoch, unless the last one was written within two seconds, or within twenty times as
    long as writing it took: then as much is lost at most when the process is killed. No result depends on it.

    Attributes:
        path: the state's file; None to keep nothing.
        log: called with all epochs so far whenever the state is written.
        epochs: the epochs so far.
        weights_before_pseudo: the weights before unlabelled clips were learned from, until it is decided
            which are better.
    """

    path: Path | None
    log: Callable[[Sequence[Epoch]], None] = lambda _: None
    epochs: list[Epoch] = field(default_factory=list)
    weights_before_pseudo: list[NDArray[Any]] = field(default_factory=list)
    _written: float = field(default_factory=time.monotonic)
    _took_s: float = 0.0

    def restore(self, variables: Sequence[Any]) -> None:
        """Put `variables` (of TensorFlow) where they stood, if there is a whole state that fits them."""
        if self.path is None or not self.path.is_file():
            return
        with np.load(self.path, allow_pickle=False) as kept:
            found = [kept[f"variable{number}"] for number in range(int(kept["variables"]))]
            if [each.shape for each in found] != [tuple(each.shape) for each in variables]:
                return
            for variable, value in zip(variables, found, strict=True):
                variable.assign(value)
            self.weights_before_pseudo = [kept[f"aside{number}"] for number in range(int(kept["aside"]))]
            rows = zip(kept["epochs"].tolist(), kept["losses"].tolist(), kept["rates"].tolist(), strict=True)
            self.epochs = [
                Epoch(
                    number=number,
                    epochs=int(facts[0]),
                    losses=tuple(losses),
                    rates=tuple(rates),
                    unlabelled=bool(facts[1]),
                    seconds=facts[2],
                )
                for number, (facts, losses, rates) in enumerate(rows, start=1)
            ]

    def save(self, variables: Sequence[Any], *, now: bool = False) -> None:
        """Write the state, if it is time or `now`."""
        if self.path is None or (not now and time.monotonic() - self._written < self._pause_s):
            return
        began = time.monotonic()
        arrays: dict[str, Any] = {f"variable{number}": each.numpy() for number, each in enumerate(variables)}
        arrays |= {f"aside{number}": each for number, each in enumerate(self.weights_before_pseudo)}
        arrays |= {"variables": len(variables), "aside": len(self.weights_before_pseudo)}
        arrays["epochs"] = np.array([(each.epochs, each.unlabelled, each.seconds) for each in self.epochs])
        arrays["losses"] = np.array([each.losses for each in self.epochs])
        arrays["rates"] = np.array([each.rates for each in self.epochs])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)
        self.log(self.epochs)
        self._written = time.monotonic()
        self._took_s = self._written - began

    @property
    def _pause_s(self) -> float:
        return max(_SECONDS_BETWEEN, self._took_s / _MOST_TIME)


@contextmanager
def stop_after_epoch(asked: threading.Event) -> Iterator[None]:
    """Set `asked` when the user presses Ctrl-C, instead of breaking off; a second press breaks off."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(_number: int, _frame: Any) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
