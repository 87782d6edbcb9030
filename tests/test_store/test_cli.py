"""The `store` command: text, JSON, exit codes, and help that answers at once."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import pytest

from store import ClipFacts, ClipFeatures, FeatureKey, FeatureStore
from store.cache import cache_folder, prepare_cache
from store.cli import main
from store.files import temporary_name
from store.format.part_names import list_parts

MakeFeatures = Callable[..., ClipFeatures]
MakeFacts = Callable[..., ClipFacts]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["store", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


@pytest.fixture
def root(store: FeatureStore, key: FeatureKey, make_features: MakeFeatures, make_facts: MakeFacts) -> str:
    with store.writer(key, clips_per_part=2) as writer, store.clip_writer() as facts:
        for clip_id, frames in [("a.mp4", 3), ("b.mp4", 0), ("c d.mp4", 1)]:
            writer.add(make_features(clip_id, frames))
            facts.add(make_facts(clip_id))
    return str(store.root)


def test_info_and_ls(run: Run, root: str, key: FeatureKey) -> None:
    code, out, _ = run("info", "--store", root, "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["clip_table"] == {"clips": 3}
    assert facts["keys"][0]["statuses"] == {"ok": 2, "short": 0, "partial": 0, "failed": 1}
    assert (facts["keys"][0]["source"], facts["keys"][0]["frames"]) == ("tiny", 4)
    assert key.folder in run("info", "--store", root)[1]
    assert key.folder in run("ls", "--store", root)[1]
    assert run("ls", "--store", root, "tiny")[1].splitlines() == [
        "a.mp4\tok\t3",
        "b.mp4\tfailed\t0\tmoov atom not found",
        "c d.mp4\tok\t1",
    ]
    assert [row["clip_id"] for row in json.loads(run("ls", "tiny", "--store", root, "--json")[1])] == [
        "a.mp4",
        "b.mp4",
        "c d.mp4",
    ]


def test_sizes_are_told_as_by_featurize(run: Run, root: str, key: FeatureKey) -> None:
    size = json.loads(run("info", "--store", root, "--json")[1])["keys"][0]["bytes"]
    assert f"  {size / 1000:.1f} kB in 2 parts  " in run("info", "--store", root)[1]


def test_our_errors_are_one_sentence_and_exit_1(run: Run, tmp_path: Path, root: str) -> None:
    code, out, err = run("info", "--store", str(tmp_path / "nowhere"))
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert run("ls", "other", "--store", root)[0] == 1


def test_usage_errors_exit_2(run: Run, root: str) -> None:
    assert run("info")[0] == 2
    assert run("gc", "--store", root)[0] == 2


def test_verify_names_a_damaged_part_and_repair_mends(
    run: Run, root: str, store: FeatureStore, key: FeatureKey
) -> None:
    assert run("verify", "--store", root)[:2] == (0, "3 parts, 0 problems\n")
    part = store.folder(key) / list_parts(store.folder(key))[0]
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    code, out, _ = run("verify", "--store", root, "--json")
    assert code == 1
    assert [problem["path"] for problem in json.loads(out)["problems"]] == [str(part)]
    code, out, _ = run("repair", "--store", root)
    assert code == 0
    assert f"set aside {part}" in out
    assert run("repair", "--store", root)[1] == "nothing to repair\n"
    assert run("ls", "tiny", "--store", root)[1] == "c d.mp4\tok\t1\n"


def test_compact_and_export(run: Run, root: str, key: FeatureKey, tmp_path: Path) -> None:
    code, out, _ = run("compact", "--store", root, "--json")
    assert code == 0
    assert json.loads(out)[0] == {"name": key.folder, "parts_before": 2, "parts_after": 1, "rows_dropped": 0}
    code, out, _ = run("export", "--store", root, "--out", str(tmp_path / "out"))
    with h5py.File(out.strip()) as file:
        assert file["features"].shape == (3, 3, 8)


def test_gc_asks_first(
    run: Run, root: str, store: FeatureStore, key: FeatureKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    motion = replace(key, view={"name": "motion"})
    with store.writer(motion):
        pass
    arguments = ("gc", "--store", root, "--keep", "tiny+motion")
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    code, out, err = run(*arguments)
    assert (code, out.strip()) == (0, "")
    goes, stays, again, _ = err.split("Remove")[0].strip().splitlines()
    assert goes.startswith(f"goes:  {key.folder}  fps=1  D 8  3 clips (2 ok, 1 failed)  4 frames")
    assert stays.startswith(f"stays: {motion.folder}  fps=1  D 8  0 clips")
    assert "3 clips to decode, 4 frames through their networks" in again
    assert len(store.keys()) == 2
    assert json.loads(run(*arguments, "--yes", "--json")[1])["removed"] == [key.folder]
    assert store.keys() == [motion]


@pytest.fixture
def cached(root: str, store: FeatureStore, key: FeatureKey) -> dict[str, Path]:
    """Files of the cache: two that are of the store's only key, one of a key that is gone, one of an earlier Trapline,
    and some in the making.
    """
    own, gone = (cache_folder(store.root, digest) for digest in (key.digest, "f" * 64))
    prepare_cache(own, (key.folder,))
    prepare_cache(gone, (key.folder, "gone-whole-ffffffffffff"))
    living = own / temporary_name(".npy")
    host = living.name.rsplit("-", 2)[0]
    paths = {
        "used": own / "mean-1.npy",
        "unused": own / "mean-2.npy",
        "gone": gone / "mean-1.npy",
        "earlier": store.root / "cache" / "mean-1.npy",
        "living": living,
        "dead": own / f"{host}-{2**22 + 1}-{'0' * 16}.npy",
        "foreign": own / f".tmp-elsewhere-1-{'0' * 16}.npy",
    }
    for number, (name, path) in enumerate(paths.items()):
        path.write_bytes(bytes(1000 * 2**number))
        if name in ("unused", "earlier", "living"):
            os.utime(path, (time.time() - 31 * 24 * 3600,) * 2)
    return paths


def test_gc_trims_the_cache(run: Run, root: str, store: FeatureStore, cached: dict[str, Path]) -> None:
    size, useless = sum(path.stat().st_size for path in cached.values()), {"unused", "gone", "earlier", "dead"}
    trimmed = sum(cached[name].stat().st_size for name in useless)
    code, out, err = run("gc", "--store", root, "--keep", "each", "--yes", "--json")
    cache = {"bytes": size, "unwanted_bytes": trimmed, "removed_bytes": trimmed}
    facts = json.loads(out)
    assert (code, facts["unwanted"], facts["removed"], facts["cache"]) == (0, [], [], cache)
    assert [(row["folder"], row["goes"]) for row in facts["keys"]] == [(key.folder, False) for key in store.keys()]
    assert "every key is wanted" in err
    assert f"cached statistics: {size / 1000:.1f} kB, of which {trimmed / 1000:.1f} kB" in err
    assert {name for name, path in cached.items() if not path.exists()} == useless
    assert not cached["gone"].parent.exists()
    assert store.keys() != []
    code, _, err = run("gc", "--store", root, "--keep", "each")
    assert code == 0
    assert "Remove" not in err
    run("gc", "--store", root, "--keep", "each", "--unused-days", "0", "--yes")
    assert {name for name, path in cached.items() if path.exists()} == {"living", "foreign"}


def test_what_comes_from_features_goes_with_them(
    run: Run, root: str, store: FeatureStore, key: FeatureKey, cached: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    with store.writer(replace(key, view={"name": "motion"})):
        pass
    arguments = ("gc", "--store", root, "--keep", "tiny+motion", "--unused-days", "365")
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    _, _, err = run(*arguments)
    assert "Remove 1 keys and their features for good, and 39.0 kB of cached statistics?" in " ".join(err.split())
    assert all(path.exists() for path in cached.values())
    run(*arguments, "--yes")
    assert {name for name, path in cached.items() if path.exists()} == {"earlier", "living", "foreign"}


def test_refresh_asks_first(
    run: Run, root: str, store: FeatureStore, key: FeatureKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    animal = replace(key, view={"name": "animal", "low_px": 160, "background.alike": 0.35})
    with store.writer(animal):
        pass
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    code, out, err = run("refresh", "--store", root)
    assert (code, out.strip()) == (0, "")
    assert f"goes:  {animal.folder}" in err
    assert "are seen against" in err
    assert len(store.keys()) == 2
    assert json.loads(run("refresh", "--store", root, "--yes", "--json")[1])["removed"] == [animal.folder]
    assert store.keys() == [key]


def test_gc_removes_nothing_where_a_name_means_nothing(run: Run, root: str, store: FeatureStore) -> None:
    code, out, err = run("gc", "--store", root, "--keep", "tinny", "--yes")
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert len(store.keys()) == 1


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, store.cli; print([name for name in ('numpy', 'h5py', 'pandas') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
