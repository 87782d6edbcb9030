"""Statistics of clips, kept in the store's cache folder: a clip is reduced once, however its labels change.

A file `<statistic>-<digest>.npy` holds a statistic of some clips, `<digest>.clips.npy` says which: a mark a clip, of
its id, contents and the settings of its features. Files are immutable. When other clips are asked for, what some file
holds is copied, and the rest is computed. Any of them may be deleted at any time.
"""

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heads.features.readers import Reader
from heads.features.statistics import Statistics, compute_statistics
from store.files import atomic_path

_FEWEST_REMEMBERED = 64
_ROWS_AT_ONCE = 1024
_MARK_BYTES = 16
_MARKS = ".clips.npy"
_log = logging.getLogger(__name__)

Marks = NDArray[np.uint8]


def clip_statistics(reader: Reader, rows: NDArray[np.int64], names: Sequence[str]) -> Statistics:
    """Statistics of clips over their frames; those that are not remembered are computed in one pass over the frames.

    Args:
        reader: the cached features.
        rows: (N,) indices into the reader; clips without frames give zeros.
        names: which statistics.

    Returns:
        (N, D) float32 for each name, mapped from a file where the store can be written to, unless the clips are few.
    """
    marks = clip_marks(reader, rows)
    digest = hashlib.sha256(marks.tobytes()).hexdigest()[:32]
    paths = {name: reader.cache / f"{name}-{digest}.npy" for name in names}
    missing = [name for name in names if not paths[name].exists()]
    found = {name: _mapped(paths[name]) for name in names if name not in missing}
    if missing and len(rows) >= _FEWEST_REMEMBERED and _writable(reader.cache):
        with atomic_path(reader.cache / f"{digest}{_MARKS}") as temporary, temporary.open("wb") as file:
            np.save(file, marks)
        with _new_files([paths[name] for name in missing], (len(rows), reader.dim)) as written:
            _fill(dict(zip(missing, written, strict=True)), reader, rows, marks)
        found |= {name: _mapped(paths[name]) for name in missing}
    elif missing:
        made: Statistics = {name: np.zeros((len(rows), reader.dim), np.float32) for name in missing}
        _fill(made, reader, rows, marks)
        found |= made
    return {name: found[name] for name in names}


def clip_marks(reader: Reader, rows: NDArray[np.int64]) -> Marks:
    """(N, 16) what tells each clip's features from all others."""
    start = hashlib.blake2b(reader.digest.encode(), digest_size=_MARK_BYTES)
    out = np.empty((len(rows), _MARK_BYTES), np.uint8)
    for place, row in enumerate(rows.tolist()):
        mark = start.copy()
        mark.update(f"\0{reader.ids[row]}\0{reader.fingerprints[row]}\0{int(reader.lengths[row])}".encode())
        out[place] = np.frombuffer(mark.digest(), np.uint8)
    return out


def _fill(out: Statistics, reader: Reader, rows: NDArray[np.int64], marks: Marks) -> None:
    """Put statistics into `out`: copied where all of them are remembered, computed elsewhere."""
    known = np.ones(len(rows), bool)
    for name, values in out.items():
        known &= _recall(values, reader.cache, name, marks)
    compute_statistics(out, reader, rows, np.flatnonzero(~known))


def _recall(out: NDArray[np.float32], cache: Path, name: str, marks: Marks) -> NDArray[np.bool_]:
    """Copy what files of other clips know of a statistic into `out` (N, D); (N,) which rows that were."""
    known = np.zeros(len(marks), bool)
    for path in sorted(cache.glob(f"{name}-*.npy")):
        try:
            kept, others = _mapped(path), np.load(cache / f"{path.stem.removeprefix(f'{name}-')}{_MARKS}")
        except (OSError, ValueError):
            continue  # deleted by somebody: it is a cache
        place_of = {mark.tobytes(): place for place, mark in enumerate(others)}
        wanted = np.array(
            [-1 if known[place] else place_of.get(mark.tobytes(), -1) for place, mark in enumerate(marks)]
        )
        rows = np.flatnonzero(wanted >= 0)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            out[some] = kept[wanted[some]]
        known[rows] = True
    return known


def _writable(cache: Path) -> bool:
    try:
        cache.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=cache):
            return True
    except OSError as error:
        _log.info("statistics are not remembered: %s", error)
        return False


@contextmanager
def _new_files(paths: Sequence[Path], shape: tuple[int, int]) -> Iterator[list[NDArray[np.float32]]]:
    """Arrays of zeros on the disk, which become `paths` when all is done."""
    temporary: list[Path] = []
    try:
        opened = []
        for path in paths:
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".npy")
            os.close(handle)
            temporary.append(Path(name))
            opened.append(np.lib.format.open_memmap(name, mode="w+", dtype=np.float32, shape=shape))
        yield list(opened)
        for each, made, path in zip(opened, temporary, paths, strict=True):
            each.flush()
            made.replace(path)
    finally:
        for made in temporary:
            made.unlink(missing_ok=True)


def _mapped(path: Path) -> NDArray[np.float32]:
    mapped: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped
