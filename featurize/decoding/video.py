"""A video through ffmpeg, in a subprocess of its own: what its container states, then its frames."""

import math
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurize.background.difference import Background, find_difference
from featurize.decoding.decoded import DecodedClip, no_frames
from featurize.decoding.ffmpeg import AS_PPM, FrameStream, Probe, as_file, probe, stream_frames
from featurize.decoding.joined import recordings_not_read
from featurize.decoding.packets import WholeFrames, dropping, find_whole_frames, pays_to_drop
from featurize.decoding.pictures.ppm import ppm_frames_alike
from featurize.decoding.scratch import require_space, scratch_space
from featurize.decoding.timeline import Length, filled_s, is_known, length_of, measure_length, unbroken_filter
from featurize.detection.over_time import Detect, detect_over
from featurize.motion.energy import find_motion
from featurize.motion.image_facts import LOW_FPS, LOW_WIDTH_PX, MOST_LOW_FRAMES, find_image_facts
from featurize.motion.lowres import LowresFrames
from featurize.views.crops import CropMaker, ViewSpec
from featurize.views.sampling import Sampling, SamplingPlan
from store.records import Status

# Exact rounding: the same pixels on every machine, at a few per cent of the decoder's time.
SCALE_FLAGS = "bicubic+accurate_rnd+full_chroma_int"
# Pictures of these pixel formats get their colours plane by plane and are interleaved then: the same bits, for which
# ffmpeg has vector instructions only that way. (Those in 15 or 16 bits of RGB would get others.)
_BY_PLANES = ("yuv", "nv", "gray")
# What brings a picture to the low resolution in which motion is found.
LOW_FILTER = f"scale=w={LOW_WIDTH_PX}:h=-2:flags=area+accurate_rnd,format=rgb24"
_LOW = Sampling(fps=LOW_FPS, max_frames=MOST_LOW_FRAMES)
# A picture that is shorter than the container states by more than this share was planned for the wrong length.
_MOST_MISSING = 0.05
# So many low-resolution frames more than planned tell that a picture goes on by more than that share.
_LOW_BEYOND = math.ceil(_MOST_MISSING * MOST_LOW_FRAMES) + 2
# A length of which fewer low-resolution frames tell is not known well enough to plan for it.
_FEWEST_LOOKS = 50
# What ffmpeg prints of a time is off by less than this share of it.
_PRINTED = 1e-5
_NO_DURATION = "the clip's duration is unknown, so frames cannot be spread evenly; use --fps"


def decode_video(
    path: Path,
    sampling: Sampling,
    specs: Sequence[ViewSpec],
    *,
    background: Background | None = None,
    detect: Detect | None = None,
    timeout_s: float,
) -> DecodedClip:
    """The sampled frames of the video at `path`, as each of `specs` shows them, seen against `background`.

    What views ask a detector about is asked of `detect`.

    Containers may state the length of the sound, or a time that does not begin with the picture, or less than was
    written behind their header; or a clip was cut off. One whose picture turns out to have another length is planned
    once more for the length that it was seen to have.

    Raises:
        ScratchSpaceError: the folder for temporary files is full.
    """
    container = probe(path)
    if not container.codec:
        return no_frames(_why_no_frames(container.errors), container)
    if not is_known(container.duration_s):
        container = probe(path, count_packets=True)
    with scratch_space():
        if sampling.needs_duration and not is_known(container.duration_s):
            counted = measure_length(path, container, timeout_s=timeout_s)
            if not is_known(counted.seconds):
                return no_frames(_NO_DURATION, container)
            container = replace(container, duration_s=counted.seconds)
        job = _Job(
            path=path,
            sampling=sampling,
            specs=specs,
            background=background,
            detect=detect,
            container=container,
            timeout_s=timeout_s,
            whole_frames=_whole_frames(path, sampling, container, timeout_s),
        )
        attempt = _decode_planned(job, _Layout(duration_s=container.duration_s))
        if attempt.changes_form:
            attempt = _decode_planned(job, replace(attempt.layout, one_form=True))
        decoded = _planned_for_its_length(job, attempt)
    return _told_of_joined(path, decoded) if decoded.status is Status.OK else decoded


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What is wanted of which video."""

    path: Path
    sampling: Sampling
    specs: Sequence[ViewSpec]
    background: Background | None
    detect: Detect | None
    container: Probe
    timeout_s: float
    whole_frames: WholeFrames | None


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """What a video is taken to be like.

    Attributes:
        duration_s: how long its picture lasts; NaN where that is unknown.
        start_s: when its picture begins.
        one_form: bring frames to one size and pixel format first. Without that, ffmpeg builds its filters anew where
            these change, and they choose frames as if none had come before.
    """

    duration_s: float
    start_s: float = 0.0
    one_form: bool = False


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    """What one decode of a video gave.

    Attributes:
        clip: the frames.
        layout: what they were planned for.
        changes_form: whether the size or the pixel format of the picture changes, for which the layout was not made.
        goes_on: whether frames are wanted of a part for which the plan left no room.
        length: of the picture, if it was seen to its end.
        looks_per_s: how many low-resolution frames a second were planned for.
        is_clean: whether the decoder complained of nothing, and saw pictures of one form.
    """

    clip: DecodedClip
    layout: _Layout
    changes_form: bool = False
    goes_on: bool = False
    length: Length | None = None
    looks_per_s: float = LOW_FPS
    is_clean: bool


def _planned_for_its_length(job: _Job, attempt: _Attempt) -> DecodedClip:
    """The clip of an attempt that was planned for the length that is stated; of another if that is not its length."""
    decoded, layout, container = attempt.clip, attempt.layout, job.container
    if attempt.goes_on:
        length = attempt.length or measure_length(job.path, container, timeout_s=job.timeout_s)
        return _decode_planned(job, _for_length(layout, length)).clip if is_known(length.seconds) else decoded
    seen = length_of(_seen_times_s(decoded), container.fps)
    if decoded.status is Status.SHORT and (
        _is_well_below(seen.seconds, container) or _lacks_last_bins(job, layout, _seen_times_s(decoded))
    ):
        if attempt.looks_per_s < LOW_FPS and attempt.looks_per_s * seen.seconds < _FEWEST_LOOKS:
            measured = measure_length(job.path, container, timeout_s=job.timeout_s)
            seen = measured if is_known(measured.seconds) else seen
        again = _decode_planned(job, _for_length(layout, seen)).clip
        told_by_number = job.sampling.needs_duration and not _is_well_below(seen.seconds, container)
        return again if told_by_number else _shorter_than_stated(again)
    if job.sampling.by_motion and _is_well_below(seen.seconds, container):  # enough to choose from, but cut off
        return _shorter_than_stated(decoded)
    return _whole_but_for_sound(decoded, job.sampling)


def _lacks_last_bins(job: _Job, layout: _Layout, seen_times_s: NDArray[np.float64]) -> bool:
    """Whether frames that are to be spread evenly were planned for moments after the last, though there are enough."""
    plan = job.sampling.plan(layout.duration_s, job.container.fps)
    is_slow = job.container.fps < plan.bins_per_s
    return job.sampling.needs_duration and not is_slow and plan.bins_until(float(seen_times_s.max())) < plan.limit


def _for_length(layout: _Layout, length: Length) -> _Layout:
    """The layout for a picture of that length; that it begins a moment later than the clip does not count."""
    return replace(layout, duration_s=length.seconds, start_s=length.start_s if length.start_s > 1 / LOW_FPS else 0.0)


def _whole_frames(path: Path, sampling: Sampling, container: Probe, timeout_s: float) -> WholeFrames | None:
    """What allows that frames which are not taken are not decoded, if it is worth while."""
    plans = [each.plan(container.duration_s, container.fps) for each in (sampling, _LOW)]
    if not pays_to_drop(plans, container.fps):
        return None
    return find_whole_frames(path, container, timeout_s=timeout_s)


def _decode_planned(job: _Job, layout: _Layout) -> _Attempt:
    """The frames, planned for what `layout` says.

    Where packets are left out and anything is not as it was said to be, all of them are decoded after all, so that what
    is found does not depend on it.
    """
    attempt = _attempt(job, layout)
    if job.whole_frames is None or (attempt.is_clean and _has_times_of(attempt, job.whole_frames)):
        return attempt
    return _attempt(replace(job, whole_frames=None), layout)


def _has_times_of(attempt: _Attempt, packets: WholeFrames) -> bool:
    """Whether frames stand at the times of their packets; else packets were chosen by other times than frames."""
    times_s = attempt.clip.motion.times_s
    if not len(times_s):
        return False
    begins = math.isclose(float(times_s[0]), packets.start_s, rel_tol=_PRINTED, abs_tol=_PRINTED)
    return begins and 0 <= packets.end_s * (1 + _PRINTED) - float(times_s[-1]) < 1 / attempt.looks_per_s


def _attempt(job: _Job, layout: _Layout) -> _Attempt:
    container, sampling = job.container, job.sampling
    plan = replace(sampling.plan(layout.duration_s, container.fps), start_s=layout.start_s)
    low = replace(_LOW.plan(layout.duration_s, container.fps), start_s=layout.start_s)
    stream = FrameStream()
    keep = sampling.frames if sampling.by_motion else None
    with closing(CropMaker(job.specs, keep)) as maker, tempfile.TemporaryDirectory(prefix="trapline-") as scratch:
        lowres_path = Path(scratch) / "low.ppm"
        count = 0
        for frame in stream_frames(_arguments(job, layout, plan, low, lowres_path), stream, timeout_s=job.timeout_s):
            maker.push(frame)
            count += 1
        require_space(stream, count)
        broken = _why_broken(stream, job.timeout_s)
        if count == 0:
            nothing = no_frames(broken or _why_no_frames(stream.errors), container)
            return _Attempt(clip=nothing, layout=layout, is_clean=False)
        lowres = LowresFrames(ppm_frames_alike(lowres_path)[: low.limit])
        low_times_s = np.array(stream.times_s("low"))
        motion = find_motion(lowres, low_times_s[: len(lowres)])
        if job.background is not None:
            motion = replace(motion, difference=find_difference(lowres, motion.times_s, job.background))
        times_s = np.array(stream.times_s("sampled")[:count])
        if job.detect is not None:
            motion = replace(motion, detected=detect_over(maker.frame, times_s, motion, job.detect))
        taken, crops = maker.finish(times_s, motion)
    status, reason = _judge(times_s[taken], broken, plan, job)
    decoded = DecodedClip(
        crops=crops,
        times_s=times_s[taken],
        status=status,
        reason=reason,
        container=container,
        image_facts=replace(find_image_facts(lowres), motion_share=motion.share, motion_peak=motion.peak),
        motion=motion,
    )
    is_full = count >= plan.limit or len(low_times_s) > low.limit
    return _Attempt(
        clip=decoded,
        layout=layout,
        changes_form=stream.filters_built > 1 and not (layout.one_form or stream.timed_out),
        goes_on=not stream.timed_out and _goes_on(job, layout, low_times_s, is_full=is_full),
        length=length_of(low_times_s, container.fps) if len(low_times_s) < low.limit + _LOW_BEYOND else None,
        looks_per_s=low.bins_per_s,
        is_clean=not broken and stream.filters_built == 1,
    )


def _told_of_joined(path: Path, decoded: DecodedClip) -> DecodedClip:
    """The same clip, or that it is short: where others are joined behind it, only what ffmpeg reads was seen."""
    unread = recordings_not_read(path)
    if not unread:
        return decoded
    others = "another recording is" if unread == 1 else f"{unread} other recordings are"
    why = f"{others} joined behind what was seen, and cannot be read; split the file"
    return replace(decoded, status=Status.SHORT, reason=why)


def _seen_times_s(decoded: DecodedClip) -> NDArray[np.float64]:
    return np.concatenate([decoded.motion.times_s, decoded.times_s])


def _whole_but_for_sound(decoded: DecodedClip, sampling: Sampling) -> DecodedClip:
    """The same clip; one whose sound outlasts its picture lacks nothing if there is a frame for every moment of it."""
    container = decoded.container
    if decoded.status is not Status.SHORT or sampling.needs_duration or not container.has_audio:
        return decoded
    plan = sampling.plan(container.duration_s, container.fps)
    if container.fps < plan.bins_per_s or len(decoded.times_s) < plan.bins_until(_seen_times_s(decoded).max()):
        return decoded
    return replace(decoded, status=Status.OK, reason="")


def _shorter_than_stated(decoded: DecodedClip) -> DecodedClip:
    """The same clip; so many a second are all there are, but fewer than the container promises."""
    if decoded.status is not Status.OK:
        return decoded
    stated_s = decoded.container.duration_s
    seen_s = length_of(_seen_times_s(decoded), decoded.container.fps).seconds
    why = f"the picture lasts {seen_s:.1f} s of the {stated_s:.1f} s that the container states"
    return replace(decoded, status=Status.SHORT, reason=why)


def _is_well_below(seen_s: float, container: Probe) -> bool:
    missing_s = container.duration_s - seen_s
    return seen_s > 0 and missing_s > max(_MOST_MISSING * container.duration_s, 1 / LOW_FPS)


def square_pixels(then: str = "") -> str:
    """The filters of ffmpeg that bring pixels which are not square into shape; `then` are filters in between."""
    return f"scale=w=iw*sar:h=ih:flags={SCALE_FLAGS}{then},setsar=1"


def colours(pixel_format: str) -> str:
    """The filters of ffmpeg that bring pixels of a format to interleaved RGB in eight bits."""
    exact = f"scale=flags={SCALE_FLAGS}"
    by_planes = f"{exact},format=gbrp," if pixel_format.startswith(_BY_PLANES) else ""
    return f"{by_planes}{exact},format=rgb24"


def _arguments(job: _Job, layout: _Layout, plan: SamplingPlan, low: SamplingPlan, lowres_path: Path) -> list[str]:
    """The arguments of ffmpeg: a track's sampled frames in full resolution to the pipe, low-resolution to a file."""
    shape = square_pixels(",format=rgb24" if layout.one_form else "")
    graph = (
        f"[0:{job.container.track}]{unbroken_filter(job.container.fps)},split[full][small];"
        f"[full]{plan.select_filter},{shape},{colours(job.container.pixel_format)},"
        "showinfo@sampled=checksum=0[sampled];"
        f"[small]{low.select_filter},{shape},{LOW_FILTER},showinfo@low=checksum=0[low]"
    )
    build_once = ["-reinit_filter", "0"] if layout.one_form else []
    pipe = ["-map", "[sampled]", "-frames:v", str(plan.limit), *AS_PPM, "pipe:1"]
    file = ["-map", "[low]", "-frames:v", str(low.limit + _LOW_BEYOND), *AS_PPM, "-y", str(lowres_path)]
    dropped = dropping(job.container.track, [plan, low]) if job.whole_frames else []
    return [*build_once, *dropped, "-i", as_file(job.path), "-filter_complex", graph, *pipe, *file]


def _goes_on(job: _Job, layout: _Layout, low_times_s: NDArray[np.float64], *, is_full: bool) -> bool:
    """Whether the picture goes on well beyond the end that was planned for, and frames of it are wanted.

    Args:
        job: what is wanted.
        layout: what was planned for.
        low_times_s: (L,) the times of the low-resolution frames, as many as there are.
        is_full: whether one of the two plans had no room left.
    """
    if not is_known(layout.duration_s) or not len(low_times_s):
        return is_full
    end_s = float(low_times_s[0]) + filled_s(low_times_s) - layout.start_s
    beyond_s = end_s - layout.duration_s
    is_beyond = beyond_s > max(_MOST_MISSING * layout.duration_s, 1 / LOW_FPS)
    return is_beyond and (is_full or job.sampling.needs_duration)


def _judge(times_s: NDArray[np.float64], broken: str, plan: SamplingPlan, job: _Job) -> tuple[Status, str]:
    """The status of a clip whose frames of `times_s` were kept, and its reason."""
    taken, fps = len(times_s), job.container.fps
    if broken:
        return Status.PARTIAL, f"{broken}; {taken} frames were kept"
    within = taken if job.sampling.by_motion else plan.count_within(times_s)
    if within < plan.expected:
        why = "the other moments have no frame of their own"
        if fps < plan.bins_per_s:
            why = f"the clip has {fps:g} a second" if job.sampling.frames is None else "the clip has no more"
        return Status.SHORT, f"{within} of {plan.expected} frames that were asked for: {why}"
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
