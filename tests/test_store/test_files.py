"""Files are whole or not there, whoever writes them at once or dies over it."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from store.files import atomic_path, remove_abandoned, temporary_name, write_json

_DAY_S = 24 * 3600.0
_WRITER = """
import sys, time
from pathlib import Path
from store.files import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(bytes(1000))
    print("writing", flush=True)
    time.sleep(600)
"""


def fail_half_way(path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("half way")


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "metrics.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"a": float("nan")})
    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way(path)
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert [each.name for each in path.parent.iterdir()] == ["metrics.json"]


def test_the_temporary_file_keeps_its_ending(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "fold0.keras") as temporary:
        assert temporary.suffix == ".keras"
        temporary.write_bytes(b"model")
    assert (tmp_path / "fold0.keras").read_bytes() == b"model"


def test_two_threads_that_write_one_file_leave_one_of_the_two_whole(tmp_path: Path) -> None:
    path, both = tmp_path / "state.npz", threading.Barrier(2)

    def write(letter: str) -> None:
        with atomic_path(path) as temporary:
            temporary.write_text(letter * 1000)
            both.wait(timeout=60)
            temporary.write_text(letter * 1000)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, "ab"))
    assert path.read_text() in ("a" * 1000, "b" * 1000)
    assert [each.name for each in tmp_path.iterdir()] == ["state.npz"]


def test_what_a_killed_writer_left_goes_once_it_is_dead(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WRITER, str(tmp_path / "fold0.keras")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        (leftover,) = tmp_path.iterdir()
        assert remove_abandoned(tmp_path) == []
        os.kill(writer.pid, signal.SIGKILL)
    assert leftover.stat().st_size == 1000
    assert remove_abandoned(tmp_path) == [leftover]
    assert list(tmp_path.iterdir()) == []


def test_files_of_another_host_are_left_alone_for_a_day(tmp_path: Path) -> None:
    dead = 2**22 + 1
    foreign = tmp_path / f".tmp-elsewhere_00000000-{dead}-{'0' * 16}.keras"
    former = tmp_path / f".fold0.{dead}.tmp.keras"  # as they were called before hosts were named
    ours = tmp_path / f"{temporary_name().rsplit('-', 2)[0]}-{dead}-{'0' * 16}.keras"
    kept = [tmp_path / name for name in (".hidden", "fold0.keras", ".tmp-mine.keras", "a.1.tmp.keras", ".a.tmp.keras")]
    for path in (foreign, former, ours, *kept):
        path.write_text("half")
    assert remove_abandoned(tmp_path, former=True) == [ours]
    for path in tmp_path.iterdir():
        os.utime(path, (time.time() - _DAY_S - 60,) * 2)
    assert remove_abandoned(tmp_path) == [foreign]
    assert remove_abandoned(tmp_path, former=True) == [former]
    assert sorted(tmp_path.iterdir()) == sorted(kept)
