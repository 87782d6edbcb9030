"""Processes that train: what they load, TensorFlow ahead of time, and how many processors they may use.

This module imports next to nothing, so that loading can begin before a command knows what it is to do.
"""

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Iterator
from multiprocessing import forkserver
from typing import Any

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
_LOADED = "heads.workflows.training.loaded"
_UNUSED = ("matplotlib", "sklearn")


def load_ahead() -> None:
    """Begin to load TensorFlow for processes that are going to train, where one that has it can be copied (Linux).

    It takes seconds, in a process of its own, while the caller finds out what is to be trained.
    """
    if not _can_be_copied():
        return
    with all_threads():
        multiprocessing.set_forkserver_preload([_LOADED])
        forkserver.ensure_running()


@contextlib.contextmanager
def keras_alone() -> Iterator[None]:
    """Within it, Keras is imported without matplotlib and scikit-learn, which it would load to draw and to wrap models.

    That is a second of five. For commands, which do neither by Keras; they still import both themselves.
    """
    hidden = [] if "keras" in sys.modules else [name for name in _UNUSED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: not to be found
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def training_processes() -> Any:
    """The context of `multiprocessing` that makes processes that train."""
    return multiprocessing.get_context("forkserver" if _can_be_copied() else "spawn")


@contextlib.contextmanager
def all_threads() -> Iterator[None]:
    """Within it, processes that are started may use all processors: the system shares them out."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, str(os.cpu_count() or 1)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _can_be_copied() -> bool:
    """Whether a process that has loaded TensorFlow, and done nothing with it, may be copied."""
    return sys.platform == "linux"
