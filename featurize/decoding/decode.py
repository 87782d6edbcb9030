"""From a file to sampled frames, and the pictures of them that networks are shown.

A video is decoded by ffmpeg in a subprocess of its own: a decoder that crashes or hangs on a damaged file takes nothing
else with it. A picture is read by Pillow and is a clip of one frame. What cannot be decoded comes back as FAILED with
its reason; nothing is ever made up for it.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image

from featurize.decoding.decoded import Frames, no_frames
from featurize.decoding.ffmpeg import Probe
from featurize.decoding.formats import is_image
from featurize.decoding.still import read_image
from featurize.decoding.video import decode_video
from featurize.motion.energy import NO_MOTION
from featurize.motion.image_facts import LOW_WIDTH_PX, picture_facts
from featurize.motion.lowres import LowFrames
from featurize.views.crops import Look, PictureMaker
from featurize.views.sampling import Sampling
from store.records import Status

DECODE_TIMEOUT_S = 180.0
_LFS_POINTER = b"version https://git-lfs"


def decode(path: Path, sampling: Sampling, looks: Sequence[Look], *, timeout_s: float = DECODE_TIMEOUT_S) -> Frames:
    """The sampled frames of the clip at `path`, as each of `looks` shows them.

    Args:
        path: a video or an image.
        sampling: which frames.
        looks: the sizes and views in which they are wanted.
        timeout_s: seconds without a new frame after which the decoder is killed; what it gave until then is kept.

    Returns:
        The frames; status FAILED, no frames and a reason where there are none to be had.

    Raises:
        ScratchSpaceError: the folder for temporary files is full.
    """
    try:
        obstacle = _obstacle(path)
    except OSError as error:
        obstacle = f"the file cannot be read: {error.strerror}"
    if obstacle:
        return no_frames(obstacle, Probe())
    if is_image(path):
        return _decode_image(path, looks)
    return decode_video(path, sampling, looks, timeout_s=timeout_s)


def _obstacle(path: Path) -> str:
    """Why the file cannot be a clip, from its first bytes; "" if nothing speaks against it."""
    with path.open("rb") as file:
        head = file.read(len(_LFS_POINTER))
    if not head:
        return "the file is empty (0 bytes)"
    if head == _LFS_POINTER:
        return "a Git LFS pointer stands in place of the clip; fetch the content with `git lfs pull`"
    return ""


def _decode_image(path: Path, looks: Sequence[Look]) -> Frames:
    """A still picture as a clip of one frame."""
    still = read_image(path)
    if still.frame is None:
        return no_frames(still.reason, still.source)
    height, width = still.frame.shape[:2]
    low_size = (LOW_WIDTH_PX, max(1, round(height * LOW_WIDTH_PX / width)))
    low = np.asarray(Image.fromarray(still.frame).resize(low_size, Image.Resampling.BOX))
    times_s = np.zeros(1)
    with closing(PictureMaker(looks, None)) as maker:
        maker.take(still.frame)
        _, pictures = maker.finish(times_s, NO_MOTION)
    return Frames(
        pictures=pictures,
        times_s=times_s,
        status=Status.OK,
        reason="",
        source=still.source,
        picture=picture_facts(LowFrames(low[None])),
        motion=NO_MOTION,
    )
