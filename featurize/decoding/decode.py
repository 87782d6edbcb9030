"""From a file to sampled frames, and the crops of them that networks are shown.

A video is decoded by ffmpeg in a subprocess of its own: a decoder that crashes or hangs on a damaged file takes nothing
else with it. A picture is read by Pillow and is a clip of one frame; one that moves is a video. What cannot be decoded
comes back as FAILED with its reason; nothing is ever made up for it.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from featurize.background.difference import Background, find_difference
from featurize.decoding.decoded import DecodedClip, no_frames
from featurize.decoding.ffmpeg import Probe
from featurize.decoding.formats import is_image
from featurize.decoding.pictures.still import Still, low_resolution, read_image
from featurize.decoding.video import decode_video
from featurize.detection.over_time import Detect, detect_over
from featurize.motion.energy import NO_MOTION, Motion
from featurize.motion.image_facts import find_image_facts
from featurize.motion.lowres import LowresFrames
from featurize.views.crops import CropMaker, ViewSpec
from featurize.views.sampling import Sampling
from store.records import Status

DECODE_TIMEOUT_S = 180.0
_LFS_POINTER = b"version https://git-lfs"


def decode(
    path: Path,
    sampling: Sampling,
    specs: Sequence[ViewSpec],
    background: Background | None = None,
    *,
    detect: Detect | None = None,
    timeout_s: float = DECODE_TIMEOUT_S,
) -> DecodedClip:
    """The sampled frames of the clip at `path`, as each of `specs` shows them.

    Args:
        path: a video or an image.
        sampling: which frames.
        specs: the sizes and views in which they are wanted.
        background: what the clip is compared with by views that ask for it; None where there is none.
        detect: a detector, for views that ask for what it finds.
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
    if not is_image(path):
        return decode_video(path, sampling, specs, background=background, detect=detect, timeout_s=timeout_s)
    still = read_image(path)
    if still.pictures == 1:
        return _decode_still(still, specs, background, detect)
    moving = decode_video(path, sampling, specs, background=background, detect=detect, timeout_s=timeout_s)
    if moving.status is not Status.FAILED:
        return moving
    reason = f"only the first of {still.pictures} pictures was read: {moving.reason}"
    return replace(_decode_still(still, specs, background, detect), status=Status.PARTIAL, reason=reason)


def _obstacle(path: Path) -> str:
    """Why the file cannot be a clip, from its first bytes; "" if nothing speaks against it."""
    with path.open("rb") as file:
        head = file.read(len(_LFS_POINTER))
    if not head:
        return "the file is empty (0 bytes)"
    if head == _LFS_POINTER:
        return "a Git LFS pointer stands in place of the clip; fetch the content with `git lfs pull`"
    return ""


def _decode_still(
    still: Still, specs: Sequence[ViewSpec], background: Background | None, detect: Detect | None
) -> DecodedClip:
    """A still picture as a clip of one frame."""
    if still.frame is None:
        return no_frames(still.reason, still.container)
    lowres = LowresFrames(low_resolution(still.frame)[None])
    times_s = np.zeros(1)
    motion = NO_MOTION
    if background is not None:
        apart = find_difference(lowres, times_s, background)
        motion = Motion(times_s=times_s, cells=np.zeros_like(apart), difference=apart)
    if detect is not None:
        frame = still.frame
        seen = motion if len(motion.times_s) else replace(motion, times_s=times_s)
        motion = replace(seen, detected=detect_over(lambda _: frame, times_s, seen, detect))
    with closing(CropMaker(specs, None)) as maker:
        maker.push(still.frame)
        _, crops = maker.finish(times_s, motion)
    return DecodedClip(
        crops=crops,
        times_s=times_s,
        status=Status.OK,
        reason="",
        container=still.container,
        image_facts=find_image_facts(lowres),
        motion=motion,
    )
