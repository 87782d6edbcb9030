"""docs/run.md names every file, column and field of a run: of the frozen one, and of one that is made now."""

import csv
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from heads.cli import app

_ROOT = Path(__file__).parents[2]
# What lies below these is described elsewhere (recipes and keys), or is named by users' words: heads, classes, facts.
_ELSEWHERE = frozenset({"recipe", "settings", "versions", "sources"})
_WORDS = frozenset({"heads", "blends", "choice", "baselines", "per_class", "thresholds", "greedy_weights"})


@pytest.fixture(scope="module")
def document() -> str:
    return (_ROOT / "docs" / "run.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frozen")
    with tarfile.open(_ROOT / "tests" / "data" / "run_v1.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "run_v1"


@pytest.fixture(scope="module")
def made_now(frozen: Path) -> Path:
    """A run of one head that is fitted in a moment, with everything that can be had for it."""
    run, recipe = frozen.parent / "now", frozen.parent / "recipe.yaml"
    recipe.write_text("folds: 3\nheads: [{kind: discriminant, sources: [made]}]\n")
    given = {"run": run, "recipe": recipe, **{name: frozen / f"{name}.csv" for name in ("labels", "sites")}}
    words = [word for name, path in given.items() for word in (f"--{name}", str(path))]
    flags = ["--unlabelled", "--frame-scores", "--compare-splits", "--compare-metadata"]
    call("train", "--store", str(frozen / "store"), *words, *flags)
    call("blend", "--run", str(run), "--add", str(frozen / "outside.csv"))
    call("report", "--run", str(run))
    return run


def call(*words: str) -> None:
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output


@pytest.fixture(params=["frozen", "now"])
def run(request: pytest.FixtureRequest, frozen: Path, made_now: Path) -> Path:
    return frozen / "run" if request.param == "frozen" else made_now


def test_every_file_stands_in_the_document(run: Path, document: str) -> None:
    found = {plain(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert len(found) > 15
    listed = set(re.findall(r"^      (\S+)", document, re.MULTILINE))
    assert found - listed == set()


def plain(path: Path) -> str:
    """A file of a run as the document writes it."""
    if path.parts[0] in ("random_split", "other_metadata"):
        return f"{path.parts[0]}/..."
    name = re.sub(r"fold\d+\.keras", "fold<k>.keras", path.name)
    if path.parts[0] in ("heads", "added"):
        return f"{path.parts[0]}/<name>/{name}"
    if len(path.parts) == 2 and path.name != "blend.csv":
        return f"{path.parts[0]}/<name>{path.suffix}"
    return path.as_posix()


def test_every_field_stands_in_the_document(run: Path, document: str, frozen: Path) -> None:
    files = [run / name for name in ("blend.json", "metrics.json", "splits.json", "metadata.json")]
    values = [json.loads(path.read_text()) for path in (*files, *run.rglob("head.json"), *run.rglob("added.json"))]
    values += [json.loads(line) for path in run.rglob("epochs.jsonl") for line in path.read_text().splitlines()]
    values += [json.loads(path.read_text()) for path in (frozen / "blends").glob("*.json")]
    values.append(yaml.safe_load((run / "config.yaml").read_text()))
    found = {name for value in values for name in fields(value)}
    assert len(found) > 60
    assert sorted(name for name in found if f"`{name}`" not in document) == []


def fields(value: Any) -> Iterator[str]:
    """The names of a value's fields; of those that users' words name, only what lies below."""
    if isinstance(value, list):
        for each in value:
            yield from fields(each)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name
            if name in _WORDS and isinstance(inner, dict):
                yield from fields(list(inner.values()))
            elif name == "standardisers":
                yield from (key for fact in inner.values() for key in fact)
            elif name not in _ELSEWHERE:
                yield from fields(inner)


def test_every_column_and_array_stands_in_the_document(run: Path, document: str) -> None:
    found = set()
    for path in run.rglob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            found |= set(next(csv.reader(file)))
    found -= {"blank", "deer", "wild boar", "fold_2"}  # classes, and a third fold
    for path in run.rglob("frames/*.npz"):
        with np.load(path) as arrays:
            found |= set(arrays)
    assert found >= {"clip_id", "fold", "group", "site", "reason", "rare", "spread"}
    assert sorted(name for name in found if f"`{name}`" not in document) == []
