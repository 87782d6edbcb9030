"""What decoding costs, in processor seconds: beside the bare decoder, and beside the plain way to the same pixels.

    python -m benchmarks.decoding CLIP...

Prints one JSON line. Every clip is decoded as it is, and as 8 s of H.264 and of Motion JPEG that are made of it at 1280
x 720, 30 frames a second, with the noise of a sensor. `decoder_s` is ffmpeg's decoder alone, which throws all frames
away; `plain_s` is `decode` with colours computed at one go and every frame decoded; `now_s` is `decode` as it is. Both
are what this process and its decoders use for both views of eight frames by motion. The three are measured in turns;
`ratio` is the median over the turns of now to plain, which other programs on the machine disturb least. That pixels and
times are the same is compared too: `same`.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from featurize.decoding import video
from featurize.decoding.decode import decode
from featurize.decoding.decoded import DecodedClip
from featurize.decoding.ffmpeg import as_file, ffmpeg_binary, ffmpeg_command
from featurize.views.crops import ViewSpec
from featurize.views.resize import Canvas
from featurize.views.sampling import Sampling

ROUNDS = 5
SAMPLING = Sampling(frames=8, choose="motion")
SPECS = [ViewSpec(canvas=Canvas(px=224), view=view) for view in ("whole", "motion")]
MADE = {
    "h264.mp4": ["-c:v", "libx264", "-preset", "veryfast", "-b:v", "8M", "-pix_fmt", "yuv420p"],
    "mjpeg.avi": ["-c:v", "mjpeg", "-q:v", "4", "-pix_fmt", "yuvj420p"],
}


def as_it_is_and_made(clip: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """(name, path) of the clip and of what is made of it."""
    yield clip.name, clip
    for name, encoder in MADE.items():
        command = [ffmpeg_binary(), "-loglevel", "error", "-y", "-stream_loop", "-1", "-i", as_file(clip), "-t", "8"]
        command += ["-an", "-vf", "scale=1280:720,setsar=1,noise=alls=8:allf=t", "-r", "30", *encoder]
        subprocess.run([*command, str(folder / name)], check=True)
        yield f"{clip.name} as {name}", folder / name


def bare(path: Path) -> None:
    subprocess.run([*ffmpeg_command(), "-i", as_file(path), "-an", "-f", "null", "-"], check=True, capture_output=True)


def now(path: Path) -> DecodedClip:
    return decode(path, SAMPLING, SPECS)


def plain(path: Path) -> DecodedClip:
    def direct(_: str) -> str:
        return f"scale=flags={video.SCALE_FLAGS},format=rgb24"

    with mock.patch.object(video, "colours", direct), mock.patch.object(video, "_whole_frames", return_value=None):
        return now(path)


def are_same(one: DecodedClip, other: DecodedClip) -> bool:
    """Whether two decodes of a clip show the same pixels of the same moments and say the same of it."""
    said = [(each.status, each.reason, each.times_s.tolist(), each.image_facts) for each in (one, other)]
    pixels = [[part.tobytes() for spec in SPECS for _, part in each.crops[spec].by_size] for each in (one, other)]
    return said[0] == said[1] and pixels[0] == pixels[1]


def processor_seconds(action: Callable[[Path], object], path: Path) -> float:
    def used() -> float:
        each = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(times.ru_utime + times.ru_stime for times in each)

    before = used()
    action(path)
    return used() - before


def measure(path: Path) -> dict[str, Any]:
    same = are_same(now(path), plain(path))
    turns = np.array([[processor_seconds(way, path) for way in (bare, plain, now)] for _ in range(ROUNDS)])
    decoder_s, plain_s, now_s = turns.min(axis=0)
    return {
        "decoder_s": round(float(decoder_s), 3),
        "plain_s": round(float(plain_s), 3),
        "now_s": round(float(now_s), 3),
        "ratio": round(statistics.median(turns[:, 2] / turns[:, 1]), 3),
        "same": same,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+")
    words = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        rows = {name: measure(path) for clip in words.clips for name, path in as_it_is_and_made(clip, Path(folder))}
    print(json.dumps({"benchmark": "decoding", "clips": rows}))
    return 0 if all(row["same"] for row in rows.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
