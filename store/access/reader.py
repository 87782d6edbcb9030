"""Reading features: any clips in any order, at the speed of the page cache, without holding the store in memory."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.access.blocks import BlockReader
from store.access.buffers import Buffers
from store.access.index import FeatureIndex
from store.errors import StoreRequestError
from store.format.classifier_file import Classifier
from store.ids import require_known
from store.key import FeatureKey
from store.records import ClipFeatures, Status

Features = NDArray[np.float16] | NDArray[np.float32]


class FeatureReader:
    """The features of one key as they were when the reader was opened: N clips, sorted by id, one row each.

    Failed clips are among them, with no frames. Parts that are added later are not seen; parts that are merged
    meanwhile do no harm. A reader may be used from several threads at once.

    Attributes:
        key: the settings that made the features.
        index: where the rows were when the reader was opened.
        ids: (N) clip ids, sorted.
        status: (N) statuses.
        reasons: (N) why a clip is not OK, "" if it is.
        fingerprints: (N) content fingerprints.
        lengths: (N,) int64 number of frames.
        dtype: float16, or float32 if any part holds values that float16 cannot.
        cache: a folder of the store for what can be computed again from these features; it need not exist.

    Example:
        reader = store.reader(store.find("efficientnet_lite0"))
        features, mask = reader.batch(reader.index_of(["site 01/a.mp4", "site 02/b.mp4"]))  # (2, T, D), (2, T)
    """

    def __init__(
        self,
        key: FeatureKey,
        index: FeatureIndex,
        reload: Callable[[], FeatureIndex],
        cache: Path,
        classifier: Callable[[], Classifier | None] = lambda: None,
    ) -> None:
        self.key = key
        self.index = index
        self.ids = index.ids
        self.status: list[Status] = index.statuses
        self.reasons = index.reasons
        self.fingerprints = index.fingerprints
        self.lengths = index.lengths
        self.dtype = np.result_type(np.float16, *{part.dtype for part in index.parts})
        self._blocks = BlockReader(index, key.dim, reload)
        self.cache = cache
        self._read_classifier = classifier
        self._buffers = Buffers()
        self._places: dict[str, int] | None = None

    def __len__(self) -> int:
        """N, the number of clips."""
        return len(self.ids)

    @property
    def dim(self) -> int:
        """D, the number of feature columns."""
        return self.key.dim

    @property
    def digest(self) -> str:
        """The digest of the settings that made the features."""
        return self.key.digest

    @property
    def key_folders(self) -> tuple[str, ...]:
        """The name of the folder that the features stand in."""
        return (self.key.folder,)

    @cached_property
    def classifier(self) -> Classifier | None:
        """What the network itself takes frames for; None where that is not kept.

        Raises:
            CorruptPartError: it is damaged.
        """
        return self._read_classifier()

    @property
    def taps(self) -> tuple[str, ...]:
        """The names of the taps, in column order."""
        return tuple(tap.name for tap in self.key.tap_columns)

    @property
    def tap_widths(self) -> tuple[int, ...]:
        """The number of columns of each tap, in column order."""
        return tuple(width for _, width in self.key.taps)

    def index_of(self, ids: Iterable[str]) -> NDArray[np.int64]:
        """The index of each of `ids`.

        Raises:
            UnknownClipError: some are not there; the first few are named.
        """
        if self._places is None:
            self._places = {clip_id: place for place, clip_id in enumerate(self.ids)}
        wanted = list(ids)
        require_known(wanted, self._places, f"features of {self.key.source}", "featurize these clips first")
        return np.array([self._places[clip_id] for clip_id in wanted], dtype=np.int64)

    def batch(
        self,
        indices: Sequence[int] | NDArray[np.integer[Any]],
        taps: Sequence[str] | None = None,
        pad_to: int | None = None,
    ) -> tuple[Features, NDArray[np.bool_]]:
        """The features of some clips, padded with zeros behind each clip's last frame.

        Args:
            indices: (B,) indices of clips, in any order, repeats allowed.
            taps: names of the taps whose columns are wanted, in the order wanted; None for all.
            pad_to: T; None for the longest of the batch.

        Returns:
            features (B, T, D) of `dtype`, and mask (B, T), true where there is a frame.

        Raises:
            StoreRequestError: a tap is unknown, or `pad_to` is shorter than the longest clip.
            CorruptPartError: a part is not as long as it was.
        """
        chosen = np.asarray(indices, dtype=np.int64)
        lengths = self.lengths[chosen]
        frames = self._padded_length(lengths, pad_to)
        columns = self._columns(taps)
        width = self.dim if columns is None else len(columns)
        features: Features = self._buffers.take((len(chosen), frames, width), self.dtype)
        filled = []
        for rows, length in zip(features, lengths.tolist(), strict=True):
            filled.append(rows[:length])
            rows[length:] = 0
        self._blocks.read_features(chosen.tolist(), filled, columns)
        return features, np.arange(frames) < lengths[:, None]

    def times(self, index: int) -> NDArray[np.float64]:
        """(T,) the presentation time of each frame of a clip, in seconds."""
        return self._blocks.read_times(index)

    def per_frame(self, name: str, index: int) -> NDArray[np.float32] | None:
        """(T, ...) the per-frame numbers `name` of a clip; None if they were not stored with it."""
        return self._blocks.read_per_frame(index, name).get(name)

    def pictures(self, index: int) -> list[bytes]:
        """(T) the frames of a clip themselves, each a JPEG file.

        Raises:
            StoreRequestError: no pictures are kept beside these features.
        """
        if not self.key.holds_pictures:
            raise StoreRequestError(
                f"features of {self.key.source}: no pictures are kept beside these; featurize with --backbone frames"
            )
        return self._blocks.read_pictures(index)

    def picture_sizes(self, index: int) -> NDArray[np.int64]:
        """(T,) how many bytes each picture of a clip takes; none where no pictures are kept."""
        return self._blocks.read_picture_sizes(index)

    def row(self, index: int, clip_id: str | None = None) -> ClipFeatures:
        """The whole row of a clip, as it would be written again, under another id if one is given."""
        features = np.empty((int(self.lengths[index]), self.dim), dtype=self._blocks.stored_dtype(index))
        self._blocks.read_features([index], [features])
        return ClipFeatures(
            clip_id=self.ids[index] if clip_id is None else clip_id,
            fingerprint=self.fingerprints[index],
            status=self.status[index],
            reason=self.reasons[index],
            times_s=self.times(index),
            features=features,
            per_frame=self._blocks.read_per_frame(index),
            pictures=self._blocks.read_pictures(index),
        )

    def _columns(self, taps: Sequence[str] | None) -> NDArray[np.int64] | None:
        if taps is None:
            return None
        known = {tap.name: np.arange(tap.start, tap.stop) for tap in self.key.tap_columns}
        unknown = [tap for tap in taps if tap not in known]
        if unknown or not taps:
            raise StoreRequestError(
                f"features of {self.key.source}: taps {list(taps)} were asked for, there are {list(known)}; "
                "name some of these"
            )
        return np.concatenate([known[tap] for tap in taps])

    def _padded_length(self, lengths: NDArray[np.int64], pad_to: int | None) -> int:
        longest = int(lengths.max(initial=0))
        if pad_to is not None and pad_to < longest:
            raise StoreRequestError(
                f"features of {self.key.source}: the longest clip has {longest} frames, pad_to is {pad_to}; "
                "nothing is cut silently: pad to at least that"
            )
        return longest if pad_to is None else pad_to
