import errno
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_store import clip_ids, made_key, make_store

from heads.data.features import statistics_cache
from heads.data.features.moments import combine_moments, moments_by_fold
from heads.data.features.readers import ConcatenatedReader
from heads.data.features.rows import RowsOfFile
from heads.data.features.statistics import StatisticName, compute_statistics, statistics_of
from heads.data.features.statistics_cache import cached_statistics
from store import ClipFeatures, FeatureReader, FeatureStore, Status
from store.cache import cached_files, remove_files, useless_files


def direction(frames: np.ndarray) -> np.ndarray:
    deviation = frames.max(0) - np.median(frames, 0)
    return deviation / np.sqrt((deviation**2).mean() + 1e-6)


BY_HAND = {
    "direction": direction,
    "change": lambda frames: frames.max(0) - frames.min(0),
    "deviation": lambda frames: frames.max(0) - np.median(frames, 0),
    "background": lambda frames: np.median(frames, 0),
    "mean": lambda frames: frames.mean(0),
    "spread": lambda frames: frames.std(0),
}


def test_each_clip_is_pooled_over_its_own_frames_and_remembered(tmp_path: Path) -> None:
    reader = make_store(tmp_path, np.ones((150, 2), np.uint8), failed=(3,)).reader(made_key())
    rows = np.random.default_rng(0).permutation(len(reader.ids))
    pooled = cached_statistics(reader, rows, tuple(BY_HAND))
    for name, values in pooled.items():
        assert values.dtype == np.float32
        for place, row in enumerate(rows):
            features, mask = reader.batch([row])
            frames = features[0, mask[0]].astype(np.float64)
            expected = BY_HAND[name](frames) if len(frames) else np.zeros(reader.dim)
            np.testing.assert_allclose(values[place], expected, atol=1e-5)
        assert not values[list(rows).index(reader.index_of([clip_ids(150)[3]])[0])].any()
    kept = {path.name: path.stat().st_ino for path in reader.cache.iterdir()}
    assert len(kept) == len(BY_HAND) + 2  # and which clips they are of, and of which features
    again = cached_statistics(reader, rows, tuple(BY_HAND))
    assert {path.name: path.stat().st_ino for path in reader.cache.iterdir()} == kept
    for name, values in again.items():
        np.testing.assert_array_equal(values, pooled[name])
    some = cached_statistics(reader, rows[:100], ("change", "mean"))
    assert len(list(reader.cache.iterdir())) == len(BY_HAND) + 5
    few = cached_statistics(reader, rows[:20], ("change", "mean"))
    assert len(list(reader.cache.iterdir())) == len(BY_HAND) + 5  # a few clips are not worth a file
    for found in (some, few):
        for name, values in found.items():
            np.testing.assert_array_equal(values, pooled[name][: len(values)])


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows that were read, as they are."""
    rows: list[int] = []
    whole = FeatureReader.batch
    monkeypatch.setattr(FeatureReader, "batch", lambda self, some: rows.extend(some) or whole(self, some))
    return rows


def test_only_what_is_missing_is_computed(tmp_path: Path, read: list[int]) -> None:
    reader = make_store(tmp_path, np.ones((150, 2), np.uint8)).reader(made_key())
    rows = np.arange(150)
    first = cached_statistics(reader, rows, ("deviation", "direction"))
    assert sorted(read) == list(range(150))  # one pass for both
    again = cached_statistics(reader, rows, ("deviation", "background"))
    assert sorted(read) == sorted([*range(150), *range(150)])
    assert cached_statistics(reader, rows, ("background", "direction")).keys() == {"background", "direction"}
    assert len(read) == 300
    np.testing.assert_array_equal(again["deviation"], first["deviation"])


def test_other_labels_need_the_frames_of_new_clips_only(tmp_path: Path, read: list[int]) -> None:
    """Clips come and go and are put in another order; each is read once, under each of two networks."""
    store = make_store(tmp_path, np.ones((150, 2), np.uint8), ("made", "other"))
    order = np.random.default_rng(0).permutation(150)
    for name in ("made", "other"):
        reader = store.reader(made_key(name))
        read.clear()
        cached_statistics(reader, order[:80], ("deviation", "mean"))
        assert sorted(read) == sorted(order[:80])
        read.clear()
        found = cached_statistics(reader, order[149:40:-1], ("deviation", "mean"))
        assert sorted(read) == sorted(order[80:])
        read.clear()
        few = cached_statistics(reader, order[[3, 149]], ("mean",))
        assert read == []
        assert set(few) == {"mean"}
        for path in reader.cache.iterdir():
            path.rename(tmp_path / "cache" / f".{path.name}")  # as if it were deleted
        anew = cached_statistics(reader, order[149:40:-1], ("deviation", "mean"))
        assert len(read) == 109
        for statistic in ("deviation", "mean"):
            np.testing.assert_array_equal(found[statistic], anew[statistic])
        np.testing.assert_array_equal(few["mean"][1], anew["mean"][0])


def test_a_cache_that_lost_half_a_pair_is_done_again(tmp_path: Path, read: list[int]) -> None:
    reader = make_store(tmp_path, np.ones((150, 2), np.uint8)).reader(made_key())
    cached_statistics(reader, np.arange(100), ("mean",))
    next(reader.cache.glob("*.clips.npy")).unlink()
    read.clear()
    cached_statistics(reader, np.arange(110), ("mean",))
    assert len(read) == 110


def test_what_an_earlier_trapline_remembered_is_not_computed_again(tmp_path: Path, read: list[int]) -> None:
    """It kept everything in one folder."""
    reader = make_store(tmp_path, np.ones((150, 2), np.uint8)).reader(made_key())
    before = cached_statistics(reader, np.arange(100), ("mean",))["mean"].copy()
    for path in reader.cache.glob("*.npy"):
        path.rename(tmp_path / "cache" / path.name)
    read.clear()
    after = cached_statistics(reader, np.arange(110), ("mean",))["mean"]
    assert read == list(range(100, 110))
    np.testing.assert_array_equal(after[:100], before)


def test_a_file_that_was_torn_is_written_anew(tmp_path: Path) -> None:
    reader = make_store(tmp_path, np.ones((150, 2), np.uint8)).reader(made_key())
    before = cached_statistics(reader, np.arange(100), ("mean",))["mean"].copy()
    (path,) = reader.cache.glob("mean-*.npy")
    path.write_bytes(b"")
    for _ in range(2):
        np.testing.assert_array_equal(cached_statistics(reader, np.arange(100), ("mean",))["mean"], before)
    np.testing.assert_array_equal(np.load(path), before)


@pytest.mark.parametrize("what", ["a full disk", "a file that is gone"])
def test_what_cannot_be_kept_stays_in_memory(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reader = make_store(tmp_path, np.ones((150, 2), np.uint8)).reader(made_key())
    expected = cached_statistics(reader, np.arange(100), ("mean",))["mean"]

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if what == "a full disk":
        monkeypatch.setattr(RowsOfFile, "__setitem__", fail)
    else:
        monkeypatch.setattr(statistics_cache, "load_rows", fail)
    found = cached_statistics(reader, np.arange(110), ("mean", "spread"))
    np.testing.assert_array_equal(found["mean"][:100], expected)
    assert "and stay in memory: " in caplog.text
    assert not [path for path in reader.cache.iterdir() if "tmp" in path.name]


def test_what_is_remembered_cannot_be_changed(tmp_path: Path) -> None:
    reader = make_store(tmp_path, np.ones((150, 2), np.uint8)).reader(made_key())
    for _ in range(2):
        values = cached_statistics(reader, np.arange(100), ("mean",))["mean"]
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1


def test_of_many_sets_each_clip_is_found_in_whichever_holds_it(tmp_path: Path, read: list[int]) -> None:
    """Also where it is asked for twice."""
    store = make_store(tmp_path, np.ones((200, 2), np.uint8), ("made", "other"))
    rng = np.random.default_rng(0)
    for name in ("made", "other"):
        reader = store.reader(made_key(name))
        for _ in range(8):
            cached_statistics(reader, rng.permutation(120)[:64], ("mean", "deviation"))
        read.clear()
        wanted = np.concatenate([rng.permutation(200)[:150], [7, 7, 199, 199]])
        found = cached_statistics(reader, wanted, ("mean",))["mean"]
        assert set(read) <= set(range(120, 200))
        for place, row in enumerate(wanted):
            features, mask = reader.batch([row])
            np.testing.assert_allclose(found[place], features[0, mask[0]].astype(float).mean(axis=0), atol=1e-4)


def test_what_is_used_stays_and_what_is_of_no_use_any_more_goes(tmp_path: Path) -> None:
    store = make_store(tmp_path, np.ones((150, 2), np.uint8))
    with store.writer(made_key("other")) as writer:
        for row in range(150):
            writer.add(store.reader(made_key()).row(row))
    readers = [store.reader(made_key(name)) for name in ("made", "other")]
    joined = ConcatenatedReader(readers)
    for each in (*readers, joined):
        cached_statistics(each, np.arange(100), ("mean", "spread"))
    folders = [key.folder for key in store.keys()]
    month_ago = time.time() - 31 * 24 * 3600
    for path in cached_files(tmp_path):
        os.utime(path, (month_ago, month_ago))
    cached_statistics(readers[0], np.arange(100), ("mean",))
    useless = useless_files(tmp_path, folders, 30)
    assert {path.name.split("-")[0] for path in readers[0].cache.iterdir() if path in useless} == {"spread"}
    assert len(useless) == 1 + 3 + 3
    assert useless_files(tmp_path, folders, 32) == []
    without_other = useless_files(tmp_path, folders[:1], 32)
    assert {path.parent for path in without_other} == {readers[1].cache, joined.cache}
    size = sum(path.stat().st_size for path in without_other)
    assert remove_files(tmp_path, without_other) == size
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [readers[0].cache.name]


def test_a_clip_that_changed_is_computed_again(tmp_path: Path, read: list[int]) -> None:
    store = make_store(tmp_path, np.ones((150, 2), np.uint8))
    before = cached_statistics(store.reader(made_key()), np.arange(100), ("mean",))["mean"]
    with store.writer(made_key()) as writer:
        row = store.reader(made_key()).row(7)
        writer.add(replace(row, fingerprint="changed", features=row.features + 1))
    read.clear()
    after = cached_statistics(store.reader(made_key()), np.arange(100), ("mean",))["mean"]
    assert read == [7]
    np.testing.assert_allclose(after[7], before[7] + 1, atol=1e-2)
    np.testing.assert_array_equal(np.delete(after, 7, axis=0), np.delete(before, 7, axis=0))


def test_a_store_that_cannot_be_written_to_does_without_a_cache(tmp_path: Path) -> None:
    reader = make_store(tmp_path, np.ones((150, 2), np.uint8)).reader(made_key())
    (tmp_path / "cache").write_text("in the way")
    found = cached_statistics(reader, np.arange(100), ("mean",))["mean"]
    np.testing.assert_allclose(found[7], reader.row(7).features.astype(float).mean(axis=0), atol=1e-3)
    assert (tmp_path / "cache").read_text() == "in the way"


def test_moments_of_folds_are_those_of_their_clips_and_keep_their_digits() -> None:
    """Columns that hardly vary about a large mean."""
    rng = np.random.default_rng(0)
    values = (100 + 0.01 * rng.normal(size=(3000, 4))).astype(np.float32)
    fold = rng.integers(0, 3, 3000)
    found = moments_by_fold(values, fold, 4)
    for number, each in enumerate(found[:3]):
        own = values[fold == number].astype(np.float64)
        assert each.count == len(own)
        np.testing.assert_allclose(each.mean, own.mean(axis=0), rtol=1e-9)
        np.testing.assert_allclose(each.spread, own.std(axis=0), rtol=1e-4)
    assert (found[3].count, found[3].mean.tolist()) == (0, [0, 0, 0, 0])
    whole = combine_moments(found)
    np.testing.assert_allclose(whole.spread, values.astype(np.float64).std(axis=0), rtol=1e-4)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("length", [1, 2, 5, 44])
@pytest.mark.parametrize("name", tuple(BY_HAND))
def test_signs_and_lengths(name: str, length: int, dtype: type[np.floating]) -> None:
    """Negative numbers and zeros of both signs too, which sort by their bits only with care."""
    frames = np.random.default_rng(length).normal(0, 100, (length, 300)).astype(dtype)
    frames[:, ::7] = -0.0
    frames[: length // 2, ::7] = 0.0
    frames[0, 1] = -6e4
    np.testing.assert_allclose(
        statistics_of(frames.copy(), (name,))[name], BY_HAND[name](frames.astype(np.float64)), rtol=2e-5, atol=1e-3
    )


def test_the_event_is_the_mean_weighted_by_motion_energy(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = {name: rng.normal(size=(5, 6)).astype(np.float32) for name in ("moves.mp4", "rests.mp4", "unknown.mp4")}
    energies = {"moves.mp4": np.array([0, 0, 1, 3, 0], np.float32), "rests.mp4": np.zeros(5, np.float32)}
    store = FeatureStore.open(tmp_path, create=True)
    for name, features in frames.items():
        with store.writer(made_key()) as writer:
            writer.add(
                ClipFeatures(
                    clip_id=name,
                    fingerprint=name,
                    status=Status.OK,
                    reason="",
                    times_s=np.arange(5.0),
                    features=features,
                    per_frame={"motion_energy": energies[name]} if name in energies else {},
                )
            )
    reader = store.reader(made_key())
    rows = reader.index_of(["rests.mp4", "unknown.mp4", "moves.mp4"])
    found = cached_statistics(reader, rows, ("event",))["event"]
    np.testing.assert_allclose(found[0], frames["rests.mp4"].mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(found[1], frames["unknown.mp4"].mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(found[2], frames["moves.mp4"][2] / 4 + frames["moves.mp4"][3] * 3 / 4, atol=1e-3)


class Clips:
    """A reader of clips that are in memory."""

    def __init__(self, frames: list[np.ndarray], energies: list[np.ndarray | None]) -> None:
        self.frames, self.energies, self.dim = frames, energies, frames[0].shape[1]

    def batch(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        longest = max(len(self.frames[row]) for row in rows)
        features = np.full((len(rows), longest, self.dim), 7, self.frames[0].dtype)
        for own, row in zip(features, rows, strict=True):
            own[: len(self.frames[row])] = self.frames[row]
        return features, np.arange(longest) < np.array([[len(self.frames[row])] for row in rows])

    def per_frame(self, name: str, row: int) -> np.ndarray | None:
        assert name == "motion_energy"
        return self.energies[row]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize(
    "names", [("background", "change", "deviation", "direction", "event"), tuple(BY_HAND), ("direction",), ("event",)]
)
def test_clips_that_are_pooled_together_get_the_bits_that_each_gets_alone(
    names: tuple[StatisticName, ...], dtype: type[np.floating]
) -> None:
    rng = np.random.default_rng(5)
    frames, energies = [], []
    for clip in range(150):
        length = 0 if clip == 40 else int(rng.integers(1, 20))
        own = (rng.normal(size=(length, 203)) * rng.choice([1e-4, 1, 300])).astype(dtype)
        own[:, ::9], own[: length // 2, ::11] = -0.0, 0.0
        frames.append(own)
        moving = rng.random(length).astype(np.float32) * (rng.random(length) < 0.5)
        energies.append([None, np.zeros(length, np.float32), moving][int(rng.integers(3))])
    rows = rng.permutation(150)
    places = rng.permutation(150)[:140]
    out = {name: np.full((150, 203), 5, np.float32) for name in names}
    compute_statistics(out, Clips(frames, energies), rows, places)  # type: ignore[arg-type]
    for place, row in enumerate(rows.tolist()):
        alone = statistics_of(frames[row], names, energies[row]) if len(frames[row]) else {}
        for name in names:
            wanted = alone[name] if alone and place in places else np.full(203, 5, np.float32)
            np.testing.assert_array_equal(out[name][place].view(np.int32), wanted.view(np.int32), name)
