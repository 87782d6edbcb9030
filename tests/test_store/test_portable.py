"""What is done where a call is missing, and where a file is in use."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from store.portable import is_running, open_new, open_to_read, read_at, sync_folder, unless_in_use, write_some


@pytest.mark.parametrize("lacking", [(), ("preadv", "writev")])
def test_bytes_are_read_at_their_place_by_many_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: tuple[str, ...]
) -> None:
    for name in lacking:
        monkeypatch.delattr(os, name)
    content = bytes(range(256)) * 4096
    descriptor = open_new(tmp_path / "file")
    rest = [memoryview(content)]
    while rest[0]:
        rest[0] = rest[0][write_some(descriptor, rest) :]
    os.close(descriptor)
    descriptor = open_to_read(tmp_path / "file")
    wrong: list[int] = []

    def read(start: int) -> None:
        for position in range(start, len(content) - 512, 4096):
            out = bytearray(512)
            if read_at(descriptor, memoryview(out), position) != 512 or out != content[position : position + 512]:
                wrong.append(position)

    threads = [threading.Thread(target=read, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert read_at(descriptor, memoryview(bytearray(8)), len(content)) == 0
    os.close(descriptor)


def test_a_new_file_replaces_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        open_new(tmp_path / "file")


def test_a_process_that_is_over_is_not_running() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert is_running(os.getpid())
    assert not is_running(done.pid)


def test_a_folder_that_cannot_be_opened_is_left_to_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, _flags: int) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)
    sync_folder(tmp_path)
    with pytest.raises(PermissionError):
        sync_folder(tmp_path / "gone")


def test_only_that_a_file_is_in_use_is_no_error() -> None:
    used, refused = PermissionError(13, "in use"), PermissionError(13, "not yours")
    used.winerror = 32  # type: ignore[attr-defined,unused-ignore]
    with unless_in_use():
        raise used
    with pytest.raises(PermissionError, match="not yours"), unless_in_use():
        raise refused
