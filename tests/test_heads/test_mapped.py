"""Arrays that are mapped from files do not stay in a process' memory."""

import mmap
from pathlib import Path

import numpy as np
import pytest

from heads.data.features import mapped

STATUS = Path("/proc/self/status")


def held_kb() -> int:
    """How much of files this process holds in its memory, in kB."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(("RssFile", "RssShmem")))
    return int(line.split()[1])


@pytest.mark.skipif(not (STATUS.exists() and hasattr(mmap, "MADV_DONTNEED")), reason="the system does not tell")
def test_what_was_read_and_written_is_given_back_and_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.lib.format.open_memmap(tmp_path / "values.npy", mode="w+", dtype=np.float32, shape=(8192, 1024))
    values[:] = np.arange(8192)[:, None]
    before = held_kb()
    mapped.give_back(values)  # 32 MB are not worth it
    assert held_kb() > before - 1024
    monkeypatch.setattr(mapped, "_MOST_HELD", 2**20)
    mapped.give_back(values[:4096], np.ones((1024, 1024), np.float32))
    assert held_kb() < before - 28 * 1024
    np.testing.assert_array_equal(values[:, 5], np.arange(8192))
    values[7] = 1.0
    mapped.give_back(values)
    np.testing.assert_array_equal(np.load(tmp_path / "values.npy")[7], np.ones(1024))
