"""`heads review` says in a sentence what it lacks."""

import socket
import sys
from pathlib import Path

import pandas as pd
import pytest
from reviewed import draw_collection
from typer.testing import CliRunner

from heads.cli import app
from heads.errors import ReviewError
from heads.review.opening import Sources, open_collection, read_classes
from store import FeatureStore


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("command")
    draw_collection(folder, 6)
    return folder


def refused(*words: str) -> str:
    result = CliRunner().invoke(app, ["review", *words])
    assert result.exit_code == 1
    return str(result.exception)


@pytest.mark.parametrize("lacking", ["starlette", "uvicorn"])
def test_without_its_packages_it_names_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch, lacking: str) -> None:
    for name in [*sys.modules]:
        if name.partition(".")[0] == lacking or name.startswith("heads.review."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, lacking, None)
    said = refused("--store", str(folder / "store"))
    assert lacking in said
    assert "run `pip install 'trapline[review]'`" in said


def test_a_folder_of_clips_that_is_not_there_is_named(folder: Path) -> None:
    assert "name the folder that was featurized with --clips" in refused(
        "--store", str(folder / "store"), "--clips", str(folder / "none")
    )


def test_a_port_that_is_taken_is_named(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = refused("--store", str(folder / "store"), "--port", port)
    assert f"nothing can listen on 127.0.0.1, port {port}" in said
    assert "name another with --port" in said


def test_a_list_of_classes_is_read_tidily(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("\ufeffred  river hog \n\nokapi\nokapi\n", encoding="utf-8")
    assert read_classes(path) == ("red river hog", "okapi")
    path.write_text("\n")
    with pytest.raises(ReviewError, match="there is no class in it; write one a line"):
        read_classes(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ReviewError, match="expected one class a line in UTF-8"):
        read_classes(path)


def test_a_table_of_labels_gives_classes_labels_and_sites(folder: Path) -> None:
    sources = Sources(
        store=FeatureStore.open(folder / "store"),
        decisions=folder / "none.jsonl",
        labels=folder / "labels.csv",
        classes=("okapi", "hog", "Empty"),
        site_pattern="^([^/]+)/",
    )
    collection = open_collection(sources, None).desk.collection
    assert collection.classes == ("deer", "hog", "okapi")  # what means blank has a key of its own
    assert collection.site_of("site 3/003.mp4") == "site 3"
    table = pd.read_csv(folder / "labels.csv").set_index("filename")
    for clip_id, shown in collection.labels.items():
        assert list(shown) == [name for name in ("deer", "hog") if table.at[clip_id, name] == 1]
    assert {*collection.labels} == {*table.index}
