"""A video through ffmpeg, in a subprocess of its own: what its container states, then its frames."""

import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurize.decoding.decoded import DecodedClip, no_frames
from featurize.decoding.ffmpeg import FrameStream, Probe, as_file, probe, stream_frames
from featurize.decoding.ppm import ppm_frames_alike
from featurize.decoding.scratch import require_space, scratch_space
from featurize.motion.energy import find_motion
from featurize.motion.image_facts import LOW_FPS, LOW_WIDTH_PX, MOST_LOW_FRAMES, find_image_facts
from featurize.motion.lowres import LowresFrames
from featurize.views.crops import CropMaker, ViewSpec
from featurize.views.sampling import Sampling, SamplingPlan
from store.records import Status

# Exact rounding: the same pixels on every machine, at a few per cent of the decoder's time.
SCALE_FLAGS = "bicubic+accurate_rnd+full_chroma_int"
_LOW = Sampling(fps=LOW_FPS, max_frames=MOST_LOW_FRAMES)
# A picture that is shorter than the container states by more than this share was planned for the wrong length.
_MOST_MISSING = 0.05


def decode_video(path: Path, sampling: Sampling, specs: Sequence[ViewSpec], *, timeout_s: float) -> DecodedClip:
    """The sampled frames of the video at `path`, as each of `specs` shows them.

    Containers may state the length of the sound, or a time that does not begin with the picture; or a clip was cut off.
    One that comes out short of frames for that is planned once more for the length that its picture was seen to have.

    Raises:
        ScratchSpaceError: the folder for temporary files is full.
    """
    container = probe(path)
    if not container.codec:
        return no_frames(_why_no_frames(container.errors), container)
    if not np.isfinite(container.duration_s):
        container = probe(path, count_packets=True)
        if sampling.needs_duration and not np.isfinite(container.duration_s):
            return no_frames("the clip's duration is unknown, so frames cannot be spread evenly; use --fps", container)
    with scratch_space():
        decoded = _decode_planned(path, sampling, specs, container, container.duration_s, timeout_s)
        seen_s = _seen_s(decoded)
        if decoded.status is Status.SHORT and _is_well_below(seen_s, container):
            start_s = _late_start_s(decoded)
            again = _decode_planned(path, sampling, specs, container, seen_s, timeout_s, start_s)
            return again if sampling.needs_duration else _shorter_than_stated(again)
    return _whole_but_for_sound(decoded, sampling)


def _decode_planned(
    path: Path,
    sampling: Sampling,
    specs: Sequence[ViewSpec],
    container: Probe,
    duration_s: float,
    timeout_s: float,
    start_s: float = 0.0,
) -> DecodedClip:
    """The frames, planned for a picture of `duration_s` seconds that begins at `start_s`."""
    plan = replace(sampling.plan(duration_s, container.fps), start_s=start_s)
    lowres_plan = replace(_LOW.plan(duration_s, container.fps), start_s=start_s)
    stream = FrameStream()
    keep = sampling.frames if sampling.by_motion else None
    with closing(CropMaker(specs, keep)) as maker, tempfile.TemporaryDirectory(prefix="trapline-") as scratch:
        lowres_path = Path(scratch) / "low.ppm"
        arguments = _arguments(path, container.track, plan, lowres_plan, lowres_path)
        count = 0
        for frame in stream_frames(arguments, stream, timeout_s=timeout_s):
            maker.push(frame)
            count += 1
        require_space(stream, count)
        broken = _why_broken(stream, timeout_s)
        if count == 0:
            return no_frames(broken or _why_no_frames(stream.errors), container)
        lowres = LowresFrames(ppm_frames_alike(lowres_path))
        motion = find_motion(lowres, np.array(stream.times_s("low")[: len(lowres)]))
        times_s = np.array(stream.times_s("sampled")[:count])
        taken, crops = maker.finish(times_s, motion)
    status, reason = _judge(len(taken), broken, plan, container)
    return DecodedClip(
        crops=crops,
        times_s=times_s[taken],
        status=status,
        reason=reason,
        container=container,
        image_facts=replace(find_image_facts(lowres), motion_share=motion.share, motion_peak=motion.peak),
        motion=motion,
    )


def _seen_times_s(decoded: DecodedClip) -> NDArray[np.float64]:
    return np.concatenate([decoded.motion.times_s, decoded.times_s])


def _late_start_s(decoded: DecodedClip) -> float:
    """When the picture begins, if that is later than by a moment; 0 if it is not."""
    first_s = float(_seen_times_s(decoded).min())
    return first_s if first_s > 1 / LOW_FPS else 0.0


def _whole_but_for_sound(decoded: DecodedClip, sampling: Sampling) -> DecodedClip:
    """The same clip; one whose sound outlasts its picture lacks nothing if there is a frame for every moment of it."""
    container = decoded.container
    if decoded.status is not Status.SHORT or sampling.needs_duration or not container.has_audio:
        return decoded
    plan = sampling.plan(container.duration_s, container.fps)
    if container.fps < plan.bins_per_s or len(decoded.times_s) < plan.bins_until(_seen_times_s(decoded).max()):
        return decoded
    return replace(decoded, status=Status.OK, reason="")


def _seen_s(decoded: DecodedClip) -> float:
    """How many seconds of picture were seen: the low-resolution frames cover the whole clip."""
    times_s = _seen_times_s(decoded)
    gap_s = 1 / decoded.container.fps if decoded.container.fps > 0 else 1 / LOW_FPS
    return float(np.ptp(times_s)) + gap_s if len(times_s) else 0.0


def _shorter_than_stated(decoded: DecodedClip) -> DecodedClip:
    """The same clip; so many a second are all there are, but fewer than the container promises."""
    if decoded.status is not Status.OK:
        return decoded
    stated_s = decoded.container.duration_s
    why = f"the picture lasts {_seen_s(decoded):.1f} s of the {stated_s:.1f} s that the container states"
    return replace(decoded, status=Status.SHORT, reason=why)


def _is_well_below(seen_s: float, container: Probe) -> bool:
    missing_s = container.duration_s - seen_s
    return seen_s > 0 and missing_s > max(_MOST_MISSING * container.duration_s, 1 / LOW_FPS)


def _arguments(path: Path, track: int, plan: SamplingPlan, lowres_plan: SamplingPlan, lowres_path: Path) -> list[str]:
    """The arguments of ffmpeg: a track's sampled frames in full resolution to the pipe, low-resolution to a file."""
    graph = (
        f"[0:{track}]scale=w=iw*sar:h=ih:flags={SCALE_FLAGS},setsar=1,split[full][small];"
        f"[full]{plan.select_filter},scale=flags={SCALE_FLAGS},format=rgb24,showinfo@sampled=checksum=0[sampled];"
        f"[small]{lowres_plan.select_filter},scale=w={LOW_WIDTH_PX}:h=-2:flags=area+accurate_rnd,format=rgb24,"
        "showinfo@low=checksum=0[low]"
    )
    as_ppm = ["-fps_mode", "passthrough", "-f", "image2pipe", "-c:v", "ppm"]
    pipe = ["-map", "[sampled]", "-frames:v", str(plan.limit), *as_ppm, "pipe:1"]
    file = ["-map", "[low]", "-frames:v", str(lowres_plan.limit), *as_ppm, "-y", str(lowres_path)]
    return ["-i", as_file(path), "-filter_complex", graph, *pipe, *file]


def _judge(taken: int, broken: str, plan: SamplingPlan, container: Probe) -> tuple[Status, str]:
    """The status of a clip of which `taken` frames were kept, and its reason."""
    if broken:
        return Status.PARTIAL, f"{broken}; {taken} frames were kept"
    if taken < plan.expected:
        slow = container.fps < plan.bins_per_s
        why = f"the clip has {container.fps:g} a second" if slow else "the other moments have no frame of their own"
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
