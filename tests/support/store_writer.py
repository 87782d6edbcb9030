"""A process that writes to a store for ever, and may die in any system call of a commit."""

import os
import signal
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np

import store.files
from store import ClipFeatures, FeatureKey, FeatureStore, Status


def write_for_ever(root: Path, key: FeatureKey, call: str, moment: str, fatal: int, first: int) -> None:
    """Write two clips a part, the first of which has the number `first`, and say after each commit which are safe.

    Args:
        root: of the store.
        key: of the features.
        call: the system call of a commit in which to die, "none" for none.
        moment: "before" or "after" it.
        fatal: in which commit.
        first: the number of the first clip.
    """
    commits = 0

    def deadly(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if commits == fatal and moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*args, **kwargs)
            if commits == fatal and moment == "after":
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapper

    if call == "replace":
        Path.replace = deadly(Path.replace)  # type: ignore[method-assign]
    elif call == "sync_folder":
        store.files.sync_folder = deadly(store.files.sync_folder)
    elif call != "none":
        setattr(os, call, deadly(getattr(os, call)))
    with FeatureStore.open(root).writer(key, clips_per_part=2) as writer:
        print("ready", flush=True)
        for number in range(first, first + 100_000):
            writer.add(
                ClipFeatures(
                    clip_id=f"clip{number:06d}",
                    fingerprint="a",
                    status=Status.OK,
                    reason="",
                    times_s=np.arange(2.0),
                    features=np.full((2, key.dim), number % 1000, np.float16),
                    pictures=[bytes([255, 216, 255, number % 256])] * (2 * key.holds_pictures),
                )
            )
            if number % 2:
                commits += 1
                print(number, flush=True)
