"""Statistics of clips, kept in the store's cache: a clip is reduced once, however its labels change.

In the folder of a reader's features a file `<statistic>-<digest>.npy` holds a statistic of some clips, and
`<digest>.clips.npy` says which: a mark a clip, of its id, contents and the settings of its features. Files are
immutable. When other clips are asked for, what some file holds is copied, and the rest is computed. Any of them may be
deleted at any time. Files beside the folders are of an earlier Trapline; what they hold is copied too.
"""

import hashlib
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heads.data.features.animals import ANIMALS_INPUT, count_animals
from heads.data.features.readers import Reader
from heads.data.features.rows import ChangeableRows, Rows, RowsOfFile, load_rows
from heads.data.features.statistics import compute_statistics
from store.cache import mark_used, prepare_cache
from store.files import atomic_path

_FEWEST_REMEMBERED = 64
_ROWS_AT_ONCE = 1024
_MARK_BYTES = 16
_MARKS = ".clips.npy"
_log = logging.getLogger(__name__)

Marks = NDArray[np.uint8]


def cached_statistics(reader: Reader, rows: NDArray[np.int64], names: Sequence[str]) -> dict[str, Rows]:
    """Statistics of clips over their frames; those that are not remembered are computed in one pass over the frames.

    Args:
        reader: the cached features.
        rows: (N,) indices into the reader; clips without frames give zeros.
        names: which statistics.

    Returns:
        (N, D) float32 for each name, `animals` (N, K), read from a file where the store can be written to, unless the
        clips are few.
    """
    marks = row_keys(reader, rows)
    digest = hashlib.sha256(marks.tobytes()).hexdigest()[:32]
    paths = {name: reader.cache / f"{name}-{digest}.npy" for name in names}
    found = {name: values for name in names if (values := _rows_if_there(paths[name])) is not None}
    missing = [name for name in names if name not in found]
    widths = {name: count_animals(reader) if name == ANIMALS_INPUT else reader.dim for name in missing}
    if missing and len(rows) >= _FEWEST_REMEMBERED and _writable(reader):
        try:
            with atomic_path(reader.cache / f"{digest}{_MARKS}") as temporary, temporary.open("wb") as file:
                np.save(file, marks)
            _write_files(
                {paths[name]: (len(rows), widths[name]) for name in missing},
                lambda written: _fill(dict(zip(missing, written, strict=True)), reader, rows, marks),
            )
            found |= {name: load_rows(paths[name]) for name in missing}
        except OSError as error:  # the disk is full, or somebody deletes what is there
            _log.warning("statistics cannot be kept in %s, and stay in memory: %s", reader.cache, error)
    missing = [name for name in names if name not in found]
    if missing:
        made: dict[str, NDArray[np.float32]] = {
            name: np.zeros((len(rows), widths[name]), np.float32) for name in missing
        }
        _fill(made, reader, rows, marks)
        found |= made
    for path in (*paths.values(), reader.cache / f"{digest}{_MARKS}"):
        mark_used(path)
    return {name: found[name] for name in names}


def row_keys(reader: Reader, rows: NDArray[np.int64]) -> Marks:
    """(N, 16) what tells each clip's features from all others."""
    start = hashlib.blake2b(reader.digest.encode(), digest_size=_MARK_BYTES)
    out = np.empty((len(rows), _MARK_BYTES), np.uint8)
    for place, row in enumerate(rows.tolist()):
        mark = start.copy()
        mark.update(f"\0{reader.ids[row]}\0{reader.fingerprints[row]}\0{int(reader.lengths[row])}".encode())
        out[place] = np.frombuffer(mark.digest(), np.uint8)
    return out


def _fill(out: Mapping[str, ChangeableRows], reader: Reader, rows: NDArray[np.int64], marks: Marks) -> None:
    """Put statistics into `out`: copied where all of them are remembered, computed elsewhere."""
    known = np.ones(len(rows), bool)
    for name, values in out.items():
        known &= _recall(values, (reader.cache, reader.cache.parent), name, marks)
    compute_statistics(out, reader, rows, np.flatnonzero(~known))


def _recall(out: ChangeableRows, folders: Sequence[Path], name: str, marks: Marks) -> NDArray[np.bool_]:
    """Copy what files of other clips know of a statistic into `out` (N, D); (N,) which rows that were."""
    known = np.zeros(len(marks), bool)
    for path in (path for folder in folders for path in sorted(folder.glob(f"{name}-*.npy"))):
        unknown = np.flatnonzero(~known)
        if not len(unknown):
            break
        try:
            others = np.load(path.with_name(path.stem.removeprefix(f"{name}-") + _MARKS))
            places = _places_of(marks[unknown], others)
            rows, places = unknown[places >= 0], places[places >= 0]
            if len(rows):
                _copy_rows(out, rows, load_rows(path), places)
        except (OSError, ValueError, EOFError):
            continue  # deleted by somebody: it is a cache
        known[rows] = True
    return known


def _places_of(wanted: Marks, marks: Marks) -> NDArray[np.int64]:
    """(N,) where each of the `wanted` (N, 16) stands among `marks`; -1 where it does not."""
    if not len(marks):
        return np.full(len(wanted), -1)
    begin, sought = marks.view(np.uint64)[:, 0], wanted.view(np.uint64)[:, 0]
    order = np.argsort(begin)
    nearest = order[np.searchsorted(begin[order], sought).clip(max=len(order) - 1)]
    return np.where((marks.view(np.uint64)[nearest] == wanted.view(np.uint64)).all(axis=1), nearest, -1)


def _copy_rows(out: ChangeableRows, rows: NDArray[np.int64], kept: Rows, places: NDArray[np.int64]) -> None:
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        out[rows[some]] = kept[places[some]]


def _writable(reader: Reader) -> bool:
    try:
        prepare_cache(reader.cache, reader.key_folders)
        with tempfile.TemporaryFile(dir=reader.cache):
            return True
    except OSError as error:
        _log.info("statistics are not remembered: %s", error)
        return False


def _write_files(shapes: Mapping[Path, tuple[int, int]], fill: Callable[[list[RowsOfFile]], None]) -> None:
    """Write arrays of zeros, which `fill` then fills, to some paths: whole or not at all."""
    with ExitStack() as stack:
        written = []
        for path, shape in shapes.items():
            temporary = stack.enter_context(atomic_path(path))
            np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape)
            written.append(RowsOfFile(temporary, writable=True))
            stack.callback(written[-1].close)  # not every system renames a file that is open
        fill(written)


def _rows_if_there(path: Path) -> Rows | None:
    try:
        return load_rows(path)
    except (OSError, ValueError, EOFError):
        return None
