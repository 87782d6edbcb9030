"""Decoders that hang are killed; slow ones and ones that were stopped for a while are not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from drawn_frames import drawn_frames

from featurize.decoding.ffmpeg import FrameStream, as_file, stream_frames
from featurize.decoding.watchdog import run_to_its_end

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs SIGSTOP and named pipes")


def counted(arguments: list[str], timeout_s: float) -> tuple[int, FrameStream]:
    stream = FrameStream()
    return sum(1 for _ in stream_frames(arguments, stream, timeout_s=timeout_s)), stream


def test_a_decoder_that_never_begins_is_killed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    count, stream = counted(["-i", as_file(tmp_path / "a.mp4"), "-f", "image2pipe", "-c:v", "ppm", "pipe:1"], 1)
    assert (count, stream.timed_out) == (0, True)


def test_a_decoder_that_is_slow_but_goes_on_is_not_killed() -> None:
    """Frames at two a second, for longer than may pass without one."""
    count, stream = counted(drawn_frames("N/2/TB", 9), 3)
    assert (count, stream.timed_out, stream.return_code) == (9, False, 0)


def test_frames_that_only_the_log_tells_of_count() -> None:
    """All frames are thrown away behind the filter that logs them."""
    count, stream = counted(drawn_frames("N/2/TB", 9, behind=",select=0"), 3)
    assert (count, stream.timed_out) == (0, False)


_DECODE = """
from drawn_frames import drawn_frames
from featurize.decoding.ffmpeg import FrameStream, stream_frames

stream = FrameStream()
for count, _ in enumerate(stream_frames(drawn_frames("N/5/TB", 15), stream, timeout_s=2)):
    print(count, flush=True)
print(stream.timed_out, flush=True)
"""


@pytest.mark.slow
def test_time_does_not_run_while_everything_is_stopped() -> None:
    paths = os.pathsep.join(path for path in sys.path if path)
    process = subprocess.Popen(
        [sys.executable, "-c", _DECODE],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "0\n"
    os.killpg(process.pid, signal.SIGSTOP)
    time.sleep(4)
    os.killpg(process.pid, signal.SIGCONT)
    printed, _ = process.communicate(timeout=60)
    assert printed.split() == [*map(str, range(1, 15)), "False"]


def test_a_command_that_hangs_is_killed_and_one_that_ends_is_heard_out() -> None:
    assert run_to_its_end([sys.executable, "-c", "import time; time.sleep(600)"], timeout_s=1) is None
    done = run_to_its_end([sys.executable, "-c", "import sys; print(1); sys.exit('two')"], timeout_s=60)
    assert done is not None
    assert (done.returncode, done.stdout, done.stderr) == (1, b"1\n", b"two\n")
