"""Small pictures of single frames, by the ffmpeg that comes with imageio-ffmpeg.

It is the binary that featurize decodes with; heads never import featurize, and need no more of it than this one call.
"""

import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

WIDTH_PX = 232
_TIMEOUT_S = 30.0
_THREADS = 2
_JPEG_QUALITY = 6  # ffmpeg's scale: 2 is best, 31 worst
# Times are kept as ffmpeg prints them, in six digits: without this a seek could land behind the frame that is meant.
_EARLIER_S = 0.002


def thumbnails(wanted: Sequence[tuple[Path, float]], width_px: int = WIDTH_PX) -> list[bytes | None]:
    """One JPEG for each (video, time in seconds), `width_px` wide at most; None where no frame can be had."""
    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(lambda each: _thumbnail(each[0], each[1], width_px), wanted))


def _thumbnail(path: Path, time_s: float, width_px: int) -> bytes | None:
    import imageio_ffmpeg

    if not path.is_file():
        return None
    start = max(time_s - _EARLIER_S, 0.0)
    command = [
        *(imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "quiet", "-threads", "1"),
        *(("-ss", f"{start:.3f}") if start else ()),
        *("-i", str(path), "-frames:v", "1", "-vf", f"scale='min({width_px},iw)':-2"),
        *("-c:v", "mjpeg", "-q:v", str(_JPEG_QUALITY), "-f", "image2pipe", "pipe:1"),
    ]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return None
    return done.stdout or None
