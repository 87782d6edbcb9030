"""Killed at any instant, or refused by the disk: the store stays readable and keeps every committed clip."""

import errno
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from forked import Forked
from store_writer import write_for_ever

from store import ClipFeatures, FeatureKey, FeatureStore, files
from store.errors import StoreWriteError
from store.files import abandoned_files
from store.maintenance.compact import compact_features
from store.maintenance.verify import verify_store

MakeFeatures = Callable[..., ClipFeatures]


def start_writer(
    store: FeatureStore, key: FeatureKey, call: str = "none", moment: str = "", fatal: int = 0, first: int = 0
) -> Forked:
    return Forked(write_for_ever, store.root, key, call, moment, fatal, first)


def last_committed(output: str) -> int:
    """The last clip that the writer said was safe; -1 if none."""
    complete = [line for line in output.splitlines(keepends=True) if line.endswith("\n") and line != "ready\n"]
    return int(complete[-1]) if complete else -1


def require_sound(store: FeatureStore, key: FeatureKey, committed: int, *, verify: bool = True) -> int:
    """Every committed clip is there and right, and nothing is half there; the number of the next clip."""
    assert not verify or verify_store(store.root).problems == []
    reader = FeatureStore.open(store.root).reader(key)
    numbers = [int(clip_id.removeprefix("clip")) for clip_id in reader.ids]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > committed
    assert len(numbers) % 2 == 0
    if numbers:  # a writer may be killed before its first commit
        features, _ = reader.batch(np.arange(len(numbers)))
        np.testing.assert_array_equal(features[:, 0, 0], np.array(numbers) % 1000)
    return len(numbers)


@pytest.mark.slow
def test_killed_a_hundred_times_at_random(store: FeatureStore, key: FeatureKey) -> None:
    with store.writer(key):
        pass
    rng, done = random.Random(0), 0
    for turn in range(100):
        process = start_writer(store, key, first=done)
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0, 0.06))
        process.kill()
        output = process.communicate()
        done = require_sound(store, key, last_committed(output), verify=turn % 10 == 9)
        if turn % 10 == 9:
            compact_features(store, key)
    assert done > 100


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", ["open", "writev", "fsync", "lseek", "close", "replace", "sync_folder"])
def test_killed_at_every_step_of_a_commit(store: FeatureStore, key: FeatureKey, call: str, moment: str) -> None:
    with store.writer(key):
        pass
    process = start_writer(store, key, call, moment, fatal=2)
    output = process.communicate(timeout=60)

    assert process.returncode == -signal.SIGKILL
    assert last_committed(output) == 3
    count = require_sound(store, key, 3)
    assert count == (
        6 if (call, moment) in [("replace", "after"), ("sync_folder", "before"), ("sync_folder", "after")] else 4
    )
    with store.writer(key):
        pass
    assert not list(store.folder(key).glob(".tmp-*"))


@pytest.mark.parametrize(("call", "moment"), [("writev", "after"), ("replace", "before")])
def test_pictures_are_whole_or_not_there_however_a_commit_ends(
    store: FeatureStore, key: FeatureKey, call: str, moment: str
) -> None:
    pictured = replace(key, preprocessing="jpeg-q90")
    with store.writer(pictured):
        pass
    output = start_writer(store, pictured, call, moment, fatal=2).communicate(timeout=60)
    assert last_committed(output) == 3
    assert require_sound(store, pictured, 3) == 4
    reader = FeatureStore.open(store.root).reader(pictured)
    assert [reader.pictures(place)[1][3] for place in range(4)] == [0, 1, 2, 3]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
@pytest.mark.parametrize("call", ["open", "writev", "fsync", "close", "replace", "sync_folder"])
def test_a_disk_that_refuses_ends_in_one_sentence_and_loses_nothing(
    store: FeatureStore,
    key: FeatureKey,
    make_features: MakeFeatures,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    code: int,
) -> None:
    with store.writer(key) as writer:
        writer.add(make_features("safe"))

    def refuse(*args: object, **kwargs: object) -> None:
        if call == "close":
            close(args[0])  # type: ignore[arg-type]
        raise OSError(code, os.strerror(code))

    close = os.close
    writer = store.writer(key)
    writer.add(make_features("late"))
    with monkeypatch.context() as patch:
        if call == "replace":
            patch.setattr(Path, "replace", refuse)
        else:
            patch.setattr(files if call == "sync_folder" else os, call, refuse)
        with pytest.raises(StoreWriteError) as caught:
            writer.commit()

    message = str(caught.value)
    assert os.strerror(code) in message
    assert "what was committed before is intact" in message
    assert "\n" not in message
    assert not list(store.folder(key).glob(".tmp-*"))
    assert verify_store(store.root).problems == []
    assert "safe" in store.reader(key).ids
    writer.commit()
    assert store.reader(key).ids == ["late", "safe"]


def test_a_short_write_goes_on_where_it_stopped(
    store: FeatureStore, key: FeatureKey, make_features: MakeFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    writev = os.writev

    def dribble(descriptor: int, pieces: list[memoryview]) -> int:
        return writev(descriptor, [memoryview(pieces[0])[:700]])

    monkeypatch.setattr(os, "writev", dribble)
    with store.writer(key) as writer:
        writer.add(make_features("a", 30))
    assert verify_store(store.root).problems == []
    np.testing.assert_array_equal(store.reader(key).batch([0])[0][0], make_features("a", 30).features)


def test_a_folder_that_is_gone_is_one_sentence(
    store: FeatureStore, key: FeatureKey, make_features: MakeFeatures
) -> None:
    writer = store.writer(key)
    writer.add(make_features("a"))
    store.folder(key).rename(store.root / "elsewhere")
    with pytest.raises(StoreWriteError, match="No such file or directory"):
        writer.commit()


def test_a_commit_that_fails_while_another_error_leaves_does_not_hide_it(
    store: FeatureStore, key: FeatureKey, make_features: MakeFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def fail() -> None:
        with store.writer(key) as writer:
            writer.add(make_features("a"))
            monkeypatch.setattr(os, "fsync", refuse)
            raise ZeroDivisionError("the real cause")

    with pytest.raises(ZeroDivisionError, match="the real cause") as caught:
        fail()
    assert "No space left on device" in caught.value.__notes__[0]


def test_the_file_of_a_writer_that_was_killed_is_recognised(store: FeatureStore, key: FeatureKey) -> None:
    with store.writer(key):
        pass
    process = start_writer(store, key, "fsync", "before", fatal=0)
    process.communicate(timeout=60)
    (leftover,) = abandoned_files(store.folder(key))
    assert f"-{process.pid}-" in leftover.name


@pytest.mark.slow
def test_four_writers_and_a_reader_at_once(store: FeatureStore, key: FeatureKey) -> None:
    with store.writer(key):
        pass
    # Two pairs with the same clips, and all overlapping.
    firsts = (0, 0, 100, 200)
    writers = [start_writer(store, key, first=first) for first in firsts]
    said: list[list[str]] = [[] for _ in writers]
    listeners = [threading.Thread(target=listen, args=pair) for pair in zip(writers, said, strict=True)]
    for listener in listeners:
        listener.start()
    try:
        seen = rounds = 0
        # Until each has said that it is ready and ten commits, while a reader opens the store again and again.
        while rounds < 5 or min(map(len, said)) < 11:
            assert all(process.poll() is None for process in writers)
            reader = FeatureStore.open(store.root).reader(key)
            if len(reader):
                features, mask = reader.batch(np.arange(len(reader)))
                numbers = np.array([int(clip_id.removeprefix("clip")) for clip_id in reader.ids])
                assert mask.all()
                np.testing.assert_array_equal(features[:, :, 0], np.repeat(numbers[:, None] % 1000, 2, axis=1))
                assert len(reader) >= seen
                seen = len(reader)
                rounds += 1
    finally:
        for process in writers:
            process.kill()
        for listener in listeners:
            listener.join()
    committed = [(first, last_committed("".join(lines))) for first, lines in zip(firsts, said, strict=True)]
    assert verify_store(store.root).problems == []
    ids = store.reader(key).ids
    assert len(set(ids)) == len(ids)
    safe = {f"clip{number:06d}" for first, last in committed for number in range(first, last + 1)}
    assert safe <= set(ids)
    assert min(last - first for first, last in committed) >= 1


def listen(process: Forked, said: list[str]) -> None:
    """Collect the lines that a writer says, until it ends."""
    with process:
        for line in process.stdout:  # one by one, so that they can be counted meanwhile
            said.append(line)
