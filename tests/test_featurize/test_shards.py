"""Shares of clips on several machines, and their stores merged: the same as one machine would have made."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from indexed_clips import write_indexed_clip
from typer.testing import CliRunner

import featurize.cli
import store.cli
from store import FeatureStore
from store.errors import StoreRequestError
from store.maintenance.merge import merge_stores
from store.maintenance.verify import verify_store

ROOT = Path(__file__).parents[2]
SETTINGS = ("--backbone", "phash", "--fps", "2", "--clips-per-part", "3")


def featurized(clips: Path, root: Path, *words: str) -> FeatureStore:
    done = CliRunner().invoke(featurize.cli.app, [str(clips), "--store", str(root), *SETTINGS, *words])
    assert done.exit_code in (0, 3), done.output
    return FeatureStore.open(root)


def assert_alike(one: FeatureStore, other: FeatureStore) -> None:
    assert one.keys() == other.keys() != []
    for key in one.keys():
        first, second = one.reader(key), other.reader(key)
        assert (first.ids, first.fingerprints, first.status) == (second.ids, second.fingerprints, second.status)
        assert first.batch(range(len(first.ids)))[0].tobytes() == second.batch(range(len(second.ids)))[0].tobytes()
    assert one.clips().equals(other.clips())


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("all")
    for number in range(20):
        write_indexed_clip(folder / "clips" / f"{number:02d}.mp4", 3 + number, fps=2)
    (folder / "clips" / "empty.mp4").touch()
    featurized(folder / "clips", folder / "serial")
    return folder / "clips"


def test_merged_shares_are_what_one_machine_makes(clips: Path, tmp_path: Path) -> None:
    stores = [featurized(clips, tmp_path / str(share), "--shard", f"{share}/3") for share in (1, 2, 3)]
    serial = FeatureStore.open(clips.parent / "serial")
    assert sorted(clip_id for each in stores for clip_id in each.clips().index) == list(serial.clips().index)
    words = ["merge", *(str(each.root) for each in stores), "--into", str(tmp_path / "merged"), "--json"]
    facts = json.loads(CliRunner().invoke(store.cli.app, words).stdout)
    assert (facts["present"], facts["clips"], facts["bytes"]) == (0, 21, 0)
    merged = FeatureStore.open(tmp_path / "merged")
    assert_alike(merged, serial)
    assert verify_store(merged.root, lambda _: None).problems == []
    again = CliRunner().invoke(store.cli.app, words[:-1])
    assert again.output == f"0 parts merged, {facts['parts']} there already; 21 clips known\n"


def test_a_merge_that_was_stopped_goes_on(clips: Path, tmp_path: Path) -> None:
    serial = FeatureStore.open(clips.parent / "serial")
    merged = FeatureStore.open(tmp_path / "merged", create=True)
    first = merge_stores([serial], merged)
    lost = sorted(merged.root.rglob("part-*.h5"))[1::2]
    for path in lost:
        path.unlink()
    again = merge_stores([serial], FeatureStore.open(merged.root))
    assert (again.parts, again.present) == (len(lost), first.parts - len(lost))
    assert_alike(FeatureStore.open(merged.root), serial)


def test_files_are_linked_or_copied(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serial = FeatureStore.open(clips.parent / "serial")
    size = sum(path.stat().st_size for path in serial.root.rglob("part-*.h5"))

    def links(root: Path) -> set[int]:
        return {path.stat().st_nlink for path in root.rglob("part-*.h5")}

    copied = merge_stores([serial], FeatureStore.open(tmp_path / "copied", create=True), copy=True)
    assert (copied.bytes, links(tmp_path / "copied")) == (size, {1})

    def refuse(*_: object) -> None:
        raise OSError("another disk")

    monkeypatch.setattr(os, "link", refuse)
    fallen_back = merge_stores([serial], FeatureStore.open(tmp_path / "other disk", create=True))
    assert (fallen_back.bytes, links(tmp_path / "other disk")) == (size, {1})
    assert_alike(FeatureStore.open(tmp_path / "other disk"), serial)


def test_one_name_for_two_contents_is_refused_before_anything_is_merged(clips: Path, tmp_path: Path) -> None:
    write_indexed_clip(tmp_path / "clips" / "03.mp4", 50, fps=2)
    other = featurized(tmp_path / "clips", tmp_path / "other")
    merged = FeatureStore.open(tmp_path / "merged", create=True)
    with pytest.raises(StoreRequestError, match=r"serial and .*other: 1 name of clips with different .*: '03.mp4'"):
        merge_stores([FeatureStore.open(clips.parent / "serial"), other], merged)
    assert [*merged.root.rglob("*.h5")] == []
    with pytest.raises(StoreRequestError, match="cannot be merged into itself"):
        merge_stores([other], FeatureStore.open(tmp_path / "other"))


@pytest.mark.parametrize("word", ["0/3", "4/3", "3", "a/b", "1/0", "-1/3"])
def test_a_share_that_is_none_is_refused(clips: Path, tmp_path: Path, word: str) -> None:
    words = [str(clips), "--store", str(tmp_path / "store"), *SETTINGS, f"--shard={word}"]
    done = CliRunner().invoke(featurize.cli.app, words)
    assert done.exit_code == 2
    assert "such as 3/16" in done.output


@pytest.mark.slow
def test_the_script_for_slurm_runs_as_it_stands_into_one_store(clips: Path, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```bash\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "job.sh").write_text(script)
    (tmp_path / "bin").mkdir()
    stand_in = f'#!/bin/sh\nexec {sys.executable} -c "from featurize.cli import main; main()" "$@"\n'
    (tmp_path / "bin" / "featurize").write_text(stand_in)
    (tmp_path / "bin" / "featurize").chmod(0o755)
    path = os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]])
    tasks = [
        subprocess.Popen(
            ["bash", str(tmp_path / "job.sh")],
            env={
                **os.environ,
                "PATH": path,
                "CLIPS": str(clips),
                "STORE": str(tmp_path / "store"),
                "SLURM_ARRAY_TASK_ID": str(task),
                "SLURM_ARRAY_TASK_COUNT": "2",
                "SLURM_CPUS_PER_TASK": "1",
            },
        )
        for task in (1, 2)
    ]
    assert [task.wait() for task in tasks] == [0, 0]
    made = FeatureStore.open(tmp_path / "store")
    assert len(made.keys()) == 4
    assert [made.info(key).clips for key in made.keys()] == [21] * 4
    assert verify_store(made.root, lambda _: None).problems == []
