"""The whole way on a system that has less: as far as one that has more can pretend to be it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from indexed_clips import write_indexed_clip

from store import FeatureStore

# What Windows lacks or does otherwise, taken away before anything of Trapline is imported.
LACKING = """
import os, sys

for name in ("pread", "preadv", "pwrite", "writev", "readv", "RWF_NOWAIT", "fork", "posix_fadvise"):
    if hasattr(os, name):
        delattr(os, name)


really_open = os.open


def open_file(path, flags, *others, **named):
    if not isinstance(path, int) and os.path.isdir(path):
        raise PermissionError(13, "Permission denied", os.fspath(path))
    return really_open(path, flags, *others, **named)


mapped_files = lambda: open("/proc/self/maps").read()
really_replace = os.replace


def replace(source, target, **named):
    for path in (os.path.abspath(source), os.path.abspath(target)):
        if path in mapped_files():
            raise PermissionError(13, "The process cannot access the file because it is mapped", path)
    return really_replace(source, target, **named)


os.open, os.replace = open_file, replace
"""
RECIPE = """
folds: 3
heads:
  - {kind: deviation, epochs: 2, metadata: []}
  - {kind: discriminant, metadata: []}
"""
CALL = "import sys; from {0}.cli import main; main()"


def call(program: str, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONWARNINGS": "default", **environment}
    command = [sys.executable, "-c", CALL.format(program), *map(str, words)]
    done = subprocess.run(command, capture_output=True, env=env, check=False)
    encoding = environment.get("PYTHONIOENCODING", "utf-8")
    return subprocess.CompletedProcess(
        command, done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding)
    )


def whole_way(folder: Path, clips: Path, **environment: str) -> None:
    store, run = folder / "store", folder / "run"
    ids = sorted(path.name for path in clips.iterdir())
    sites = [f"s{place % 6}" for place in range(len(ids))]
    labels = pd.DataFrame({"filename": ids, "site": sites, "label": ["hog", "blank"] * (len(ids) // 2)})
    labels.to_csv(folder / "labels.csv", index=False)
    (folder / "recipe.yaml").write_text(RECIPE)
    for program, *words in (
        ("featurize", clips, "--store", store, "--backbone", "phash", "--fps", "2", "--clips-per-part", "5"),
        ("store", "compact", "--store", store),
        ("store", "verify", "--store", store),
        ("heads", "train", "--store", store, "--labels", folder / "labels.csv", "--run", run, "--recipe",
         folder / "recipe.yaml", "--deterministic"),
        ("heads", "blend", "--run", run),
        ("heads", "report", "--run", run, "--store", store),
        ("heads", "predict", "--run", run, "--store", store, "--out", folder / "predictions.csv"),
    ):  # fmt: skip
        done = call(str(program), *words, **environment)
        assert done.returncode == 0, f"{program} {words[0]}: {done.stderr}"


@pytest.mark.slow
def test_the_whole_way_without_the_calls_that_only_posix_has(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    for number in range(24):
        write_indexed_clip(clips / f"{number:02d}.mp4", 4 + number, fps=2)
    for name in ("with", "without"):
        (tmp_path / name).mkdir()
    (tmp_path / "lacking").mkdir()
    (tmp_path / "lacking" / "sitecustomize.py").write_text(LACKING)
    paths = os.pathsep.join([str(tmp_path / "lacking"), *(path for path in sys.path if path)])
    whole_way(tmp_path / "with", clips)
    whole_way(tmp_path / "without", clips, PYTHONPATH=paths)
    answers = [(tmp_path / name / "predictions.csv").read_bytes() for name in ("with", "without")]
    assert answers[0] == answers[1]
    assert b"nan" not in answers[0]
    stores = [FeatureStore.open(tmp_path / name / "store") for name in ("with", "without")]
    readers = [store.reader(store.keys()[0]) for store in stores]
    everything = [reader.batch(range(24))[0].tobytes() for reader in readers]
    assert everything[0] == everything[1]
    assert not [*(tmp_path / "without").rglob(".tmp-*")]


def test_a_console_without_the_letters_of_a_name_shows_their_numbers(tmp_path: Path) -> None:
    write_indexed_clip(tmp_path / "clips" / "猫 é.mp4", 4, fps=2)
    (tmp_path / "clips" / "空.mp4").touch()
    words = (tmp_path / "clips", "--store", tmp_path / "store", "--backbone", "phash", "--fps", "2")
    done = call("featurize", *words, PYTHONIOENCODING="cp1252")
    assert done.returncode == 3, done.stderr
    assert "\\u7a7a.mp4" in done.stdout
    listed = call("store", "ls", "--store", tmp_path / "store", "phash", PYTHONIOENCODING="cp1252")
    assert "\\u732b é.mp4\tok" in listed.stdout
    facts = call("store", "ls", "--store", tmp_path / "store", "phash", "--json", PYTHONIOENCODING="cp1252")
    assert [row["clip_id"] for row in json.loads(facts.stdout)] == ["猫 é.mp4", "空.mp4"]
