"""What looking for motion costs: time beside decoding alone, and memory of a long clip in full HD.

    python -m benchmarks.motion cost CLIP...
    python -m benchmarks.motion memory CLIP

Each prints one JSON line. The clips are brought to the size in question first, by ffmpeg, looped as often as it takes.
`cost`: 15 s of each clip at 1280 x 720, 30 frames a second, 8 Mbit/s, with the noise of a sensor, decoded with one
thread. `plain` is the decoder alone, which hands out 3 frames a second in full resolution and exact colours, and their
resizing to 224 px; `pass` is `featurize --view whole`: the low-resolution copy and finding what moves come on top;
`crops` is `featurize --view whole --view motion`, which also cuts out and resizes what moves. Ratios are to `plain`, in
processor seconds, the best of several turns of each.
`memory`: the most that a process of its own ever held while it decoded 15 s and 60 s of the clip at 1920 x 1080.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from featurize.decoding.decode import decode
from featurize.decoding.ffmpeg import FrameStream, ffmpeg_binary, stream_frames
from featurize.decoding.video import SCALE_FLAGS
from featurize.views.crops import ViewSpec
from featurize.views.resize import Canvas
from featurize.views.sampling import Sampling

ROUNDS = 5
FPS = 3
CANVAS = Canvas(px=224)
SAMPLING = Sampling(fps=FPS)
SPECS = [ViewSpec(canvas=CANVAS, view="whole"), ViewSpec(canvas=CANVAS, view="motion")]


def brought_to(clip: Path, out: Path, size: str, seconds: int) -> Path:
    """`clip`, looped, as `seconds` of H.264 at 30 frames a second and `size`, noisy as from a small sensor."""
    command = [ffmpeg_binary(), "-loglevel", "error", "-y", "-stream_loop", "-1", "-i", str(clip), "-t", str(seconds)]
    command += ["-an", "-vf", f"scale={size},setsar=1,noise=alls=12:allf=t", "-r", "30", "-c:v", "libx264"]
    command += ["-preset", "veryfast", "-b:v", "8M", "-maxrate", "8M", "-bufsize", "16M", "-pix_fmt", "yuv420p"]
    subprocess.run([*command, str(out)], check=True)
    return out


def plain(path: Path) -> None:
    """Decode, hand out the sampled frames, resize them: what there is to do without any motion."""
    plan = SAMPLING.plan(15.0, 30.0)
    exact = f"scale=flags={SCALE_FLAGS},format=rgb24"
    arguments = ["-i", str(path), "-vf", f"{plan.select_filter},{exact}", "-fps_mode", "passthrough"]
    for frame in stream_frames([*arguments, "-f", "image2pipe", "-c:v", "ppm", "pipe:1"], FrameStream(), timeout_s=600):
        CANVAS.fit(frame)


def motion_pass(path: Path) -> None:
    decode(path, SAMPLING, SPECS[:1])


def crops(path: Path) -> None:
    decode(path, SAMPLING, SPECS)


def processor_seconds(action: Callable[[Path], None], path: Path) -> float:
    before = os.times()
    action(path)
    return sum(os.times()[:4]) - sum(before[:4])


def cost(clips: list[Path], folder: Path) -> dict[str, Any]:
    rows = {}
    for clip in clips:
        path = brought_to(clip, folder / "clip.mp4", "1280:720", 15)
        turns = [[processor_seconds(action, path) for action in (plain, motion_pass, crops)] for _ in range(ROUNDS)]
        alone, with_pass, with_crops = (min(each) for each in zip(*turns, strict=True))
        rows[clip.name] = {
            "plain_s": round(alone, 2),
            "pass": round(with_pass / alone, 3),
            "crops": round(with_crops / alone, 3),
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
        crops(words.clips[0])
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        result = cost(words.clips, Path(folder)) if words.what == "cost" else memory(words.clips[0], Path(folder))
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
