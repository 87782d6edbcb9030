"""Clips as short vectors that are alike where clips look alike: for clusters, and for finding similar clips.

The last tap's mean over time, weighted by the motion energy of each frame, says most about what is there; of it the
site's own mean is taken away, or clips of one camera would be alike whatever passes it. Then come the 64 directions in
which clips differ most, evened out half way, and a length of 1.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heads.data.features.readers import columns_of_last_taps
from heads.data.features.rows import Rows
from heads.data.features.statistics_cache import cached_statistics
from heads.errors import SelectionError
from store import FeatureReader, FeatureStore
from store.cache import mark_used, prepare_cache
from store.files import atomic_path
from store.key import FeatureKey

DIMENSIONS = 64
_STATISTIC = "event"
_EVENNESS = 0.5  # of the directions' spreads: 0 leaves them as they are, 1 makes all alike
_OWN_CLIPS = 8.0  # so many clips of a site weigh as much as all others when its mean is taken
_ROWS_AT_ONCE = 4096
_LEAST_SHARE = 1e-9  # of the widest direction's variance: less is rounding
_VERSION = 1
_CONTENTS = ("sound", "pictures", "features")  # the last say most about what is there
_VIEWS = ("animal", "motion", "whole")  # the first says most about what is there and least about the place

Matrix = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Embedding:
    """The vectors of clips.

    Attributes:
        ids: (N) clips, sorted.
        vectors: (N, D) float32 of length 1; zeros for a clip without frames.
        source: the features that they come from.
    """

    ids: Sequence[str]
    vectors: NDArray[np.float32]
    source: str


def choose_key(store: FeatureStore, among: Sequence[FeatureKey] | None = None) -> FeatureKey:
    """The features that clips are compared by: of most clips, of the view that says most, of the largest pictures.

    What is kept beside pictures is taken where there is nothing else, and sound where there is not even that.

    Raises:
        SelectionError: there are none.
    """
    keys = store.keys() if among is None else among
    if not keys:
        raise SelectionError(f"{store.root}: there are no features to compare clips by; run `featurize` first")
    if len(keys) == 1:  # counting clips takes its time
        return keys[0]
    order = [*_VIEWS]

    def worth(key: FeatureKey) -> tuple[int, int, int, int, str]:
        view = str(key.view["name"])
        telling = -order.index(view) if view in order else -len(order)
        return _CONTENTS.index(key.content), store.info(key).clips, telling, key.input_px, key.folder

    return max(keys, key=worth)


def embed(reader: FeatureReader, sites: Mapping[str, str]) -> Embedding:
    """The vectors of all clips of a reader, kept in the store's cache until clips or sites change.

    Args:
        reader: the features.
        sites: of clips, as far as they are known.
    """
    source, folder = reader.key.source, reader.cache
    site_of = [sites.get(clip_id, "") for clip_id in reader.ids]
    path = folder / f"embedding-{_mark(reader, site_of)}.npy"
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
        mark_used(path)
        return Embedding(ids=reader.ids, vectors=vectors, source=source)
    except (OSError, ValueError, EOFError):
        pass  # a cache: made anew
    rows = np.arange(len(reader.ids))
    values = cached_statistics(reader, rows, [_STATISTIC])[_STATISTIC]
    vectors = whiten(values, columns_of_last_taps(reader), reader.lengths > 0, site_of)
    try:
        prepare_cache(folder, reader.key_folders)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, vectors)
    except OSError:
        pass  # a store that cannot be written to: computed each time
    return Embedding(ids=reader.ids, vectors=vectors, source=source)


def whiten(
    values: Rows,
    columns: NDArray[np.bool_],
    seen: NDArray[np.bool_],
    sites: Sequence[str],
    dimensions: int = DIMENSIONS,
) -> NDArray[np.float32]:
    """(N, D) float32 vectors of length 1, of values that may be too many for memory.

    Args:
        values: (N, W), read some rows at a time.
        columns: (W,) bool, which columns count.
        seen: (N,) bool, which rows hold anything; the others become zeros.
        sites: (N) whose means are taken away, "" for none.
        dimensions: D, or fewer where the values differ in fewer directions.
    """
    rows = np.flatnonzero(seen)
    _, site = np.unique(np.array(sites, dtype=object).astype(str), return_inverse=True)
    centre, of_site = _means(values, columns, rows, site, "" in sites)
    width = int(columns.sum())
    products = np.zeros((width, width))
    for some, part in _chunks(values, columns, rows):
        apart = part - centre - of_site[site[some]]
        products += apart.T @ apart
    variance, directions = np.linalg.eigh(products / max(len(rows), 1))
    kept = np.argsort(-variance)[:dimensions]
    kept = kept[variance[kept] > _LEAST_SHARE * max(float(variance.max(initial=0.0)), 1e-30)]
    turn = directions[:, kept] / variance[kept] ** (_EVENNESS / 2)
    found = np.zeros((len(values), max(len(kept), 1)), np.float32)
    for some, part in _chunks(values, columns, rows):
        turned = (part - centre - of_site[site[some]]) @ turn
        lengths = np.linalg.norm(turned, axis=1, keepdims=True)
        if len(kept):
            found[some] = turned / np.maximum(lengths, 1e-12)
    return found


def _means(
    values: Rows,
    columns: NDArray[np.bool_],
    rows: NDArray[np.int64],
    site: NDArray[np.int64],
    first_is_none: bool,
) -> tuple[Matrix, Matrix]:
    """The mean (W,) of all rows, and how far (S, W) each site's is from it; that of a site with few clips by less."""
    counts = np.bincount(site[rows], minlength=int(site.max(initial=0)) + 1).astype(np.float64)
    sums = np.zeros((len(counts), int(columns.sum())))
    for some, part in _chunks(values, columns, rows):
        np.add.at(sums, site[some], part)
    centre = sums.sum(axis=0) / max(len(rows), 1)
    apart = (sums - counts[:, None] * centre) / (counts + _OWN_CLIPS)[:, None]
    if first_is_none:
        apart[0] = 0.0
    return centre, apart


def _chunks(
    values: Rows, columns: NDArray[np.bool_], rows: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], Matrix]]:
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows[start : start + _ROWS_AT_ONCE]
        yield some, values[some][:, columns].astype(np.float64)


def _mark(reader: FeatureReader, sites: Sequence[str]) -> str:
    """What tells these vectors from those of other clips or sites, in hex; of parts, which never change, by name."""
    told = hashlib.blake2b(digest_size=12)
    for each in (_VERSION, DIMENSIONS, reader.digest, *(part.path.name for part in reader.index.parts)):
        told.update(f"{each}\0".encode())
    told.update("\0".join(sites).encode())
    return told.hexdigest()
