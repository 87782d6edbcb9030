"""From a file to sampled frames, and the pictures of them that networks are shown.

A video is decoded by ffmpeg in a subprocess of its own: a decoder that crashes or hangs on a damaged file takes nothing
else with it. A picture is read by Pillow and is a clip of one frame. What cannot be decoded comes back as FAILED with
its reason; nothing is ever made up for it.
"""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurize.discover import is_image
from featurize.facts import LOW_FPS, LOW_WIDTH_PX, MOST_LOW_FRAMES, PictureFacts, picture_facts
from featurize.ffmpeg import FrameStream, Probe, as_file, probe, stream_frames
from featurize.image import read_image
from featurize.motion import NO_MOTION, Motion, find_motion
from featurize.pictures import PictureMaker
from featurize.ppm import ppm_frames_alike
from featurize.sampling import Sampling, SamplingPlan
from featurize.scratch import require_space, scratch_space
from featurize.view import Look, Pictures
from store.records import Status

DECODE_TIMEOUT_S = 180.0
_LFS_POINTER = b"version https://git-lfs"
# Exact rounding: the same pixels on every machine, at a few per cent of the decoder's time.
SCALE_FLAGS = "bicubic+accurate_rnd+full_chroma_int"


@dataclass(frozen=True, kw_only=True)
class Frames:
    """The sampled frames of one clip.

    Attributes:
        pictures: what each look shows of them.
        times_s: (T,) presentation times in seconds, from the clip's start.
        status: how decoding went.
        reason: why it was not OK, one sentence; "" if it was.
        source: what the container says.
        picture: brightness, colour and motion.
        motion: where something moves.
    """

    pictures: Mapping[Look, Pictures]
    times_s: NDArray[np.float64]
    status: Status
    reason: str
    source: Probe
    picture: PictureFacts
    motion: Motion


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
        return _failed(obstacle, Probe())
    if is_image(path):
        return _decode_image(path, looks)
    with scratch_space():
        return _decode_video(path, sampling, looks, timeout_s)


def _obstacle(path: Path) -> str:
    """Why the file cannot be a clip, from its first bytes; "" if nothing speaks against it."""
    with path.open("rb") as file:
        head = file.read(len(_LFS_POINTER))
    if not head:
        return "the file is empty (0 bytes)"
    if head == _LFS_POINTER:
        return "a Git LFS pointer stands in place of the clip; fetch the content with `git lfs pull`"
    return ""


def _failed(reason: str, source: Probe) -> Frames:
    return Frames(
        pictures={},
        times_s=np.empty(0),
        status=Status.FAILED,
        reason=reason,
        source=source,
        picture=PictureFacts(),
        motion=NO_MOTION,
    )


def _decode_image(path: Path, looks: Sequence[Look]) -> Frames:
    """A still picture as a clip of one frame."""
    still = read_image(path)
    if still.frame is None:
        return _failed(still.reason, still.source)
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
        picture=picture_facts(low[None]),
        motion=NO_MOTION,
    )


def _decode_video(path: Path, sampling: Sampling, looks: Sequence[Look], timeout_s: float) -> Frames:
    source = probe(path)
    if not source.codec:
        return _failed(_why_no_frames(source.errors), source)
    if not np.isfinite(source.duration_s):
        source = probe(path, count_packets=True)
        if sampling.needs_duration and not np.isfinite(source.duration_s):
            return _failed("the clip's duration is unknown, so frames cannot be spread evenly; use --fps", source)
    plan = sampling.plan(source.duration_s, source.fps)
    stream = FrameStream()
    keep = sampling.frames if sampling.by_motion else None
    with closing(PictureMaker(looks, keep)) as maker, tempfile.TemporaryDirectory(prefix="trapline-") as scratch:
        low_path = Path(scratch) / "low.ppm"
        count = 0
        for frame in stream_frames(_arguments(path, plan, source, low_path), stream, timeout_s=timeout_s):
            maker.take(frame)
            count += 1
        require_space(stream, count)
        broken = _why_broken(stream, timeout_s)
        if count == 0:
            return _failed(broken or _why_no_frames(stream.errors), source)
        low = ppm_frames_alike(low_path)
        motion = find_motion(low, np.array(stream.times_s("low")[: len(low)]))
        times_s = np.array(stream.times_s("sampled")[:count])
        taken, pictures = maker.finish(times_s, motion)
    status, reason = _judge(len(taken), broken, plan, source)
    return Frames(
        pictures=pictures,
        times_s=times_s[taken],
        status=status,
        reason=reason,
        source=source,
        picture=replace(picture_facts(low), motion_share=motion.share, motion_peak=motion.peak),
        motion=motion,
    )


def _arguments(path: Path, plan: SamplingPlan, source: Probe, low_path: Path) -> list[str]:
    """The arguments of ffmpeg: sampled frames in full resolution to the pipe, low-resolution frames to a file."""
    low_plan = Sampling(fps=LOW_FPS, max_frames=MOST_LOW_FRAMES).plan(source.duration_s, source.fps)
    graph = (
        f"[0:v:0]scale=w=iw*sar:h=ih:flags={SCALE_FLAGS},setsar=1,split[full][small];"
        f"[full]{plan.select_filter},scale=flags={SCALE_FLAGS},format=rgb24,showinfo@sampled=checksum=0[sampled];"
        f"[small]{low_plan.select_filter},scale=w={LOW_WIDTH_PX}:h=-2:flags=area+accurate_rnd,format=rgb24,"
        "showinfo@low=checksum=0[low]"
    )
    as_ppm = ["-fps_mode", "passthrough", "-f", "image2pipe", "-c:v", "ppm"]
    pipe = ["-map", "[sampled]", "-frames:v", str(plan.limit), *as_ppm, "pipe:1"]
    file = ["-map", "[low]", "-frames:v", str(low_plan.limit), *as_ppm, "-y", str(low_path)]
    return ["-i", as_file(path), "-filter_complex", graph, *pipe, *file]


def _judge(taken: int, broken: str, plan: SamplingPlan, source: Probe) -> tuple[Status, str]:
    """The status of a clip of which `taken` frames were kept, and its reason."""
    if broken:
        return Status.PARTIAL, f"{broken}; {taken} frames were kept"
    if taken < plan.expected:
        slow = source.fps < plan.bins_per_s
        why = f"the clip has {source.fps:g} a second" if slow else "the clip holds no more"
        return Status.SHORT, f"{taken} of {plan.expected} frames that were asked for: {why}"
    return Status.OK, ""


def _why_no_frames(errors: Sequence[str]) -> str:
    return (
        f"no frame could be decoded: {errors[0]}" if errors else "no frame could be decoded: there is no video stream"
    )


def _why_broken(stream: FrameStream, timeout_s: float) -> str:
    """What went wrong while decoding, "" if nothing did."""
    if stream.timed_out:
        return f"the decoder gave no frame for {timeout_s:g} s and was stopped"
    if stream.return_code:
        return f"the decoder stopped with an error: {stream.errors[0] if stream.errors else stream.return_code}"
    if stream.errors:
        return f"the decoder met damaged data: {stream.errors[0]}"
    return ""
