import os
import threading
from pathlib import Path

import numpy as np
import pytest

from heads.data.features import rows
from heads.data.features.rows import RowsOfFile, load_rows

TABLE = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.save(tmp_path / "table.npy", TABLE)
    return tmp_path / "table.npy"


@pytest.mark.parametrize("most", [0, 10_000])
@pytest.mark.parametrize(
    "some",
    [
        slice(None),
        slice(3, 20),
        slice(45, 90),
        slice(40, 3, -4),
        np.array([], np.int64),
        np.array([7]),
        np.array([49, 3, 4, 5, 5, 0, -1]),
        np.arange(50)[::-1],
    ],
)
def test_rows_are_those_of_the_array(
    path: Path, some: slice | np.ndarray, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_MOST_IN_MEMORY", most)
    found = load_rows(path)
    assert isinstance(found, RowsOfFile) == (most == 0)
    assert (len(found), found.shape) == (50, (50, 7))
    assert found[some].dtype == np.float32
    np.testing.assert_array_equal(found[some], TABLE[some])


def test_rows_are_written_where_they_belong(path: Path) -> None:
    expected, table = TABLE.copy(), RowsOfFile(path, writable=True)
    for some in (slice(3, 9), np.array([40, 41, 2, 49])):
        values = np.asfortranarray(expected[some] * 2)
        expected[some], table[some] = values, values
    table.close()
    np.testing.assert_array_equal(np.load(path), expected)


def test_threads_do_not_mix_up_each_others_rows(path: Path) -> None:
    table, wrong = RowsOfFile(path), []

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(300):
            some = rng.integers(0, 50, 6)
            if not np.array_equal(table[some], TABLE[some]):
                wrong.append(some)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_does_not_move_the_place_at_which_its_parent_reads(path: Path) -> None:
    table = RowsOfFile(path)

    def wrong() -> int:
        rng = np.random.default_rng(os.getpid())
        return sum(not np.array_equal(table[some], TABLE[some]) for some in rng.integers(0, 50, (2000, 3)))

    child = os.fork()
    if not child:
        os._exit(min(wrong(), 100))
    own = wrong()
    assert (own, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])) == (0, 0)


def test_a_file_that_is_cut_short_is_said(path: Path) -> None:
    table = RowsOfFile(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 4)
    np.testing.assert_array_equal(table[:49], TABLE[:49])
    with pytest.raises(OSError, match=r"table\.npy: is shorter than it was"):
        table[48:]
    with pytest.raises(ValueError, match="mmap length"):
        RowsOfFile(path)


@pytest.mark.parametrize("other", [np.zeros((3, 2)), np.zeros(4, np.float32), np.zeros((2, 3), np.float32).T])
def test_other_tables_are_refused(tmp_path: Path, other: np.ndarray) -> None:
    np.save(tmp_path / "other.npy", other)
    with pytest.raises(ValueError, match=r"other\.npy: not a table of float32"):
        RowsOfFile(tmp_path / "other.npy")
