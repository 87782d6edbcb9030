"""The rows that enter a store: the features of a clip, and the facts about a clip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Status(StrEnum):
    """How a clip came through decoding.

    OK: every frame that was asked for. SHORT: the clip holds fewer. PARTIAL: decoding broke part way, what decoded is
    kept. FAILED: no frame at all.

    Example:
        >>> Status("short") is Status.SHORT
        True
        >>> Status.FAILED.value
        'failed'
    """

    OK = "ok"
    SHORT = "short"
    PARTIAL = "partial"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class ClipFeatures:
    """The features of one clip under one key.

    Attributes:
        clip_id: the clip.
        fingerprint: content fingerprint of the file that was decoded ("" if it could not be read).
        status: how decoding went.
        reason: why it was not OK, one sentence; "" if it was.
        times_s: (T,) presentation time of each frame in seconds, rising.
        features: (T, D) float32 or float16; T is 0 for a failed clip.
        per_frame: further per-frame numbers by name, each (T, ...) float32 (motion energy, boxes).
        pictures: (T) the frames themselves as JPEG files, if the key holds pictures; else none.

    Example:
        >>> row = ClipFeatures(
        ...     clip_id="site 01/a.mp4", fingerprint="", status=Status.OK, reason="",
        ...     times_s=np.array([0.0, 0.5]), features=np.zeros((2, 3), np.float32),
        ... )
        >>> row.features.shape
        (2, 3)
    """

    clip_id: str
    fingerprint: str
    status: Status
    reason: str
    times_s: NDArray[np.float64]
    features: NDArray[np.float32] | NDArray[np.float16]
    per_frame: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    pictures: Sequence[bytes] = ()


@dataclass(frozen=True, kw_only=True)
class ClipFacts:
    """What is known of one clip without any network; a fact that could not be had is NaN, "" or -1.

    Attributes:
        clip_id: the clip.
        path: where the file was, absolute, when it was decoded (to find it again for thumbnails).
        size_bytes: file size.
        mtime_ns: modification time, nanoseconds since the epoch.
        fingerprint: content fingerprint of the file.
        status: how decoding went (of the picture as a whole, not of one sampling).
        reason: why it was not OK; "" if it was.
        container: ffmpeg's name of the container, e.g. "avi".
        codec: ffmpeg's name of the video codec.
        duration_s: duration the container states.
        fps: frame rate the container states.
        width: pixels.
        height: pixels.
        bit_rate: bits per second of the file.
        has_audio: whether there is an audio stream.
        recorded_at: recording time the container states, ISO 8601, "" if none.
        brightness_mean: mean grey level over pixels and frames, 0 to 1.
        brightness_std: spread of the grey level over pixels, averaged over frames, 0 to 1.
        saturation_mean: mean HSV saturation, 0 to 1.
        infrared_share: share of frames without colour, 0 to 1.
        motion_mean: mean absolute grey-level change between neighbouring low-resolution frames, 0 to 1.
        motion_share: share of the low-resolution frames in which something moves against the background, 0 to 1.
        motion_peak: strongest deviation of any cell of any frame from the background beyond its noise level, in
            standard deviations of a frame's grey levels.
        image_hash: 64-bit difference hash of the median frame, 16 hex digits, for near-duplicates.

    Example:
        >>> facts = ClipFacts(
        ...     clip_id="a.mp4", path="/clips/a.mp4", size_bytes=1000, mtime_ns=0, fingerprint="",
        ...     status=Status.OK, reason="", width=1280, height=720,
        ... )
        >>> facts.width, facts.codec
        (1280, '')
    """

    clip_id: str
    path: str
    size_bytes: int
    mtime_ns: int
    fingerprint: str
    status: Status
    reason: str
    container: str = ""
    codec: str = ""
    duration_s: float = float("nan")
    fps: float = float("nan")
    width: int = -1
    height: int = -1
    bit_rate: float = float("nan")
    has_audio: bool = False
    recorded_at: str = ""
    brightness_mean: float = float("nan")
    brightness_std: float = float("nan")
    saturation_mean: float = float("nan")
    infrared_share: float = float("nan")
    motion_mean: float = float("nan")
    motion_share: float = float("nan")
    motion_peak: float = float("nan")
    image_hash: str = ""


@dataclass(frozen=True, kw_only=True)
class SeenAgainst:
    """What a clip is seen against: its key picture, and other clips whose key pictures show the same framing.

    Attributes:
        clip_id: the clip, as it was called when this was found out.
        fingerprint: content fingerprint of its file, by which it is known.
        infrared: whether its picture is without colour.
        picture: (h, w) uint8 grey levels of its key picture.
        others: content fingerprints of the clips that it is seen against; none where too few show the same framing.
        shifts: (len(others), 2) float32: by how many pixels each of them is shifted to the right and downwards.
        digest: of the picture, the shifts, the key pictures of the others and what decides about them, in hex.
        deployment: which deployment the clip was said to be of; "" if nobody said.

    Example:
        >>> row = SeenAgainst(
        ...     clip_id="a.mp4", fingerprint="0" * 32, infrared=True, picture=np.zeros((2, 3), np.uint8),
        ...     others=(), shifts=np.zeros((0, 2), np.float32), digest="",
        ... )
        >>> row.picture.shape
        (2, 3)
    """

    clip_id: str
    fingerprint: str
    infrared: bool
    picture: NDArray[np.uint8]
    others: tuple[str, ...]
    shifts: NDArray[np.float32]
    digest: str
    deployment: str = ""
