"""What looking for motion costs: time beside decoding alone, and memory of a long clip in full HD.

    python -m benchmarks.motion cost CLIP...
    python -m benchmarks.motion memory CLIP

Each prints one JSON line. The clips are brought to the size in question first, by ffmpeg, looped as often as it takes.
`cost`: 15 s of each clip at 1280 x 720, 30 frames a second, decoded with one thread. `plain` is the decoder alone,
which hands out 3 frames a second in full resolution, and their resizing to 224 px; `motion` is what `featurize --view
whole --view motion` does before the networks: the same, the low-resolution copy, finding what moves, cutting it out.
`ratio` is motion over plain, in processor seconds and by the clock, the best of several turns of both.
`memory`: the most that a process of its own ever held while it decoded 15 s and 60 s of the clip at 1920 x 1080.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from featurize.decode import decode
from featurize.ffmpeg import FrameStream, ffmpeg_binary, stream_frames
from featurize.resize import Canvas
from featurize.sampling import Sampling
from featurize.view import MOTION, WHOLE, Look

ROUNDS = 5
FPS = 3
CANVAS = Canvas(px=224)
LOOKS = [Look(canvas=CANVAS, view=WHOLE), Look(canvas=CANVAS, view=MOTION)]


def brought_to(clip: Path, out: Path, size: str, seconds: int) -> Path:
    """`clip`, looped, as `seconds` of H.264 at 30 frames a second and `size`."""
    command = [ffmpeg_binary(), "-loglevel", "error", "-y", "-stream_loop", "-1", "-i", str(clip), "-t", str(seconds)]
    command += ["-an", "-vf", f"scale={size},setsar=1", "-r", "30", "-c:v", "libx264", "-preset", "veryfast"]
    subprocess.run([*command, "-pix_fmt", "yuv420p", str(out)], check=True)
    return out


def plain(path: Path) -> None:
    """Decode, hand out the sampled frames, resize them: what there is to do without any motion."""
    arguments = ["-i", str(path), "-vf", f"fps={FPS},format=rgb24", "-f", "image2pipe", "-c:v", "ppm", "pipe:1"]
    for frame in stream_frames(arguments, FrameStream(), timeout_s=600):
        CANVAS.fit(frame)


def with_motion(path: Path) -> None:
    decode(path, Sampling(fps=FPS), LOOKS)


def seconds_of(action: Callable[[Path], None], path: Path) -> tuple[float, float]:
    """Seconds of processor time and on the clock."""
    before, started = os.times(), time.perf_counter()
    action(path)
    clock, after = time.perf_counter() - started, os.times()
    return sum(after[:4]) - sum(before[:4]), clock


def cost(clips: list[Path], folder: Path) -> dict[str, Any]:
    rows = {}
    for clip in clips:
        path = brought_to(clip, folder / "clip.mp4", "1280:720", 15)
        turns = [(seconds_of(plain, path), seconds_of(with_motion, path)) for _ in range(ROUNDS)]
        best = {"plain": [min(p[k] for p, _ in turns) for k in (0, 1)]}
        best["motion"] = [min(m[k] for _, m in turns) for k in (0, 1)]
        rows[clip.name] = {
            "plain_processor_s": round(best["plain"][0], 2),
            "motion_processor_s": round(best["motion"][0], 2),
            "ratio_processor": round(best["motion"][0] / best["plain"][0], 3),
            "ratio_clock": round(best["motion"][1] / best["plain"][1], 3),
        }
    return {"benchmark": "motion cost", "clips": rows}


def memory(clip: Path, folder: Path) -> dict[str, Any]:
    peaks = {}
    for seconds in (15, 60):
        path = brought_to(clip, folder / f"{seconds}.mp4", "1920:1080", seconds)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.motion", "peak", str(path)], check=True, capture_output=True, text=True
        )
        peaks[f"peak_mb_{seconds}_s"] = round(float(done.stdout))
    return {"benchmark": "motion memory", "clip": clip.name, **peaks}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("cost", "memory", "peak"))
    parser.add_argument("clips", type=Path, nargs="+")
    words = parser.parse_args()
    if words.what == "peak":
        with_motion(words.clips[0])
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        result = cost(words.clips, Path(folder)) if words.what == "cost" else memory(words.clips[0], Path(folder))
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
