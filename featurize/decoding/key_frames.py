"""A few frames of a clip in low resolution, as cheaply as they are to be had: what its place looks like."""

import math
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurize.background.key_picture import FEWEST_KEY_FRAMES, KEY_FRAMES, MOST_DECODED_PX
from featurize.decoding.ffmpeg import AS_PPM, Probe, as_file, ffmpeg_command, probe
from featurize.decoding.formats import is_image
from featurize.decoding.pictures.ppm import ppm_frames_alike
from featurize.decoding.pictures.still import low_resolution, read_image
from featurize.decoding.scratch import scratch_space
from featurize.decoding.timeline import is_known
from featurize.decoding.video import LOW_FILTER, square_pixels
from featurize.decoding.watchdog import run_to_its_end
from featurize.motion.lowres import LowresFrames
from featurize.views.sampling import Sampling

_TIMEOUT_S = 120.0
_UNKNOWN_LENGTH = Sampling(fps=0.5, max_frames=KEY_FRAMES)


def decode_key_frames(path: Path) -> LowresFrames:
    """Frames spread over the clip at `path`, in the size in which its motion is found; none if it cannot be decoded.

    A short clip is decoded from end to end. In a longer one the decoder jumps to frames that stand by themselves; where
    a clip has too few of these, it is decoded after all.

    Raises:
        ScratchSpaceError: the folder for temporary files is full.
    """
    if is_image(path):
        still = read_image(path)
        return LowresFrames(
            np.empty((0, 0, 0, 3), np.uint8) if still.frame is None else low_resolution(still.frame)[None]
        )
    container = probe(path)
    if not container.codec:
        return LowresFrames(np.empty((0, 0, 0, 3), np.uint8))
    with scratch_space(), tempfile.TemporaryDirectory(prefix="trapline-") as scratch:
        if _pixels(container) > MOST_DECODED_PX:
            frames = _jump(path, container, Path(scratch))
            if len(np.unique(frames, axis=0)) >= FEWEST_KEY_FRAMES:
                return LowresFrames(frames)
        return LowresFrames(_decode_through(path, container, Path(scratch)))


def _pixels(container: Probe) -> float:
    """How many pixels all frames of a clip have; 0 where that is unknown, so that its frames cannot be jumped to."""
    pixels = container.duration_s * container.fps * container.width * container.height
    return pixels if math.isfinite(pixels) else 0.0


def _jump(path: Path, container: Probe, scratch: Path) -> NDArray[np.uint8]:
    """(L, h, w, 3) the frames that stand by themselves before each of some moments."""
    moments = (np.arange(KEY_FRAMES) + 0.5) / KEY_FRAMES * container.duration_s
    command = ffmpeg_command()
    for moment in moments:
        command += ["-noaccurate_seek", "-ss", f"{moment:.3f}", "-threads", "1", "-i", as_file(path)]
    chains = [f"[{place}:{container.track}]{square_pixels()},{LOW_FILTER}[at{place}]" for place in range(KEY_FRAMES)]
    command += ["-filter_complex", ";".join(chains)]
    files = [scratch / f"{place}.ppm" for place in range(KEY_FRAMES)]
    for place, file in enumerate(files):
        command += ["-map", f"[at{place}]", "-frames:v", "1", *AS_PPM, "-y", str(file)]
    run_to_its_end(command, timeout_s=_TIMEOUT_S)
    found = [frames for frames in map(ppm_frames_alike, files) if len(frames)]
    alike = [frames for frames in found if frames.shape[1:] == found[0].shape[1:]]
    return np.concatenate(alike) if alike else np.empty((0, 0, 0, 3), np.uint8)


def _decode_through(path: Path, container: Probe, scratch: Path) -> NDArray[np.uint8]:
    """(L, h, w, 3) frames evenly spread over the clip."""
    sampling = Sampling(frames=KEY_FRAMES) if is_known(container.duration_s) else _UNKNOWN_LENGTH
    plan = sampling.plan(container.duration_s, container.fps)
    file = scratch / "low.ppm"
    graph = f"[0:{container.track}]{plan.select_filter},{square_pixels()},{LOW_FILTER}[low]"
    command = [*ffmpeg_command(), "-i", as_file(path), "-filter_complex", graph, "-map", "[low]"]
    run_to_its_end([*command, "-frames:v", str(plan.limit), *AS_PPM, "-y", str(file)], timeout_s=_TIMEOUT_S)
    return ppm_frames_alike(file)
