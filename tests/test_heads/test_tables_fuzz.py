"""Readers of tables and recipes give a result or one sentence with file and place, whatever the file holds."""

import csv
import gzip
import io
import json
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heads.data.labels import Labelled, LabelTable
from heads.data.matching import match_clips, parse_id_map
from heads.data.predictions import read_csv
from heads.data.reading.corrections import correct_labels
from heads.data.reading.label_formats import read_labels
from heads.data.reading.mapping import read_mapping
from heads.data.reading.sites import labels_and_sites, load_sites
from heads.errors import LabelError, PredictionError
from heads.recipe import Recipe, load_recipe
from heads.workflows.answers.output import clips_of_template, read_template
from store.errors import ConfigError, TraplineError

CLIPS = ("s1/a.mp4", "s1/b.mp4", " s2/a.mp4", "s2 /c.mp4", "Taï/é.mp4", "IMG.MP4", "img.mp4", "d.mp4")
ODD = "\x00\x01\t\r\n\"'`,;|=*/\\%$<>{}[]() \u00a0\u200b\ufeff\u0301\u2028\U0001f98c:#&-?0.,"
CELLS = (
    *CLIPS,
    *(f"/mnt/x/{clip}" for clip in CLIPS[:3]),
    *(clip.upper() for clip in CLIPS[:2]),
    *("a.mp4", "s1\\a.mp4", "./s1//a.mp4", "s1/a", "D:/c/s1/a.mp4", ".", "/", "..", "s9/z.mp4"),
    *("filename", "filepath", "clip_id", "Clip ID", "label", "site", "fold", "status", "origin", "correct"),
    *("hog", "HOG", " hog", "ho\u200bg", "blank", "Blank", "empty", "none", "class:site", "?", "hog;lion"),
    *("0", "1", "1.0", "0,5", "0.5", "1e-3", "-1", "2", "nan", "NA", "inf", "", " ", "\u00a0", "x", "1_0", "\u0661"),
    *("9" * 400, "a" * 300),
)
cells = st.sampled_from(CELLS) | st.text(st.sampled_from(ODD) | st.characters(codec="utf-8"), max_size=8)


GOOD = {
    "label": st.sampled_from(["hog", "lion", "blank", "Empty", " hog", "a; b"]),
    "site": st.sampled_from(["s1", "s2", "S1 "]),
    "hog": st.sampled_from(["0", "1", "1.0", " 0"]),
    "lion": st.sampled_from(["0", "1"]),
    "correct": st.sampled_from(["hog", "blank", "", "?", "hog;lion"]),
    "fold": st.sampled_from(["0", "1"]),
}


@st.composite
def good_rows(draw: st.DrawFn) -> list[list[str]]:
    """A header and rows that some reader takes."""
    columns = draw(st.lists(st.sampled_from(list(GOOD)), max_size=4, unique=True))
    ids = draw(st.lists(st.sampled_from(CELLS[:15]), min_size=2, max_size=6, unique=True))
    rows = [[clip_id, *(draw(GOOD[name]) for name in columns)] for clip_id in ids]
    return [[draw(st.sampled_from(["filename", "filepath", "clip_id", "File Name"])), *columns], *rows]


@st.composite
def odd_rows(draw: st.DrawFn) -> list[list[str]]:
    """The same with some cells replaced, rows repeated, cut or longer."""
    rows = draw(good_rows())
    for _ in range(draw(st.integers(0, 3))):
        row = draw(st.sampled_from(rows))
        place = draw(st.integers(0, len(row)))
        row[place : place + draw(st.integers(0, 2))] = draw(st.lists(cells, max_size=2))
    return [*rows, *draw(st.lists(st.sampled_from(rows) | st.lists(cells, max_size=6), max_size=2))]


@st.composite
def csv_files(draw: st.DrawFn) -> bytes:
    """Tables as people, spreadsheets and accidents make them."""
    rows = draw(good_rows() | odd_rows())
    separator, ending = draw(st.sampled_from(",,;\t")), draw(st.sampled_from(["\n", "\r\n", "\r"]))
    written = io.StringIO()
    if draw(st.booleans()):
        csv.writer(written, delimiter=separator, lineterminator=ending).writerows(rows)
    else:
        written.write(ending.join(separator.join(row) for row in rows))
    text = draw(st.sampled_from(["", "", "\ufeff", "\n\n", f"{separator}{separator}\n"])) + written.getvalue()
    encoding = draw(st.sampled_from([*["utf-8"] * 6, "utf-16", "latin-1"]))
    content = text.encode(encoding, errors="replace")
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        place = draw(st.integers(0, len(content)))
        content = content[:place] + draw(st.binary(max_size=3)) + content[place + draw(st.integers(0, 3)) :]
    return content


files = csv_files() | st.binary(max_size=60)
LABELS = LabelTable(ids=CLIPS, classes=("blank", "hog", "lion"), values=np.eye(8, 3, dtype=np.uint8), origin="l.csv")


def labels_of(path: Path) -> None:
    found = labels_and_sites(path, CLIPS, sites=None, site_pattern=None, allow_missing=False)
    assert set(found.labels.ids) <= set(CLIPS)
    assert len(set(found.labels.ids)) == len(found.labels.ids) == len(found.labels.values)
    assert found.labels.values.any(axis=0).all()
    again = LabelTable.from_frame(found.labels.to_frame())
    assert (again.ids, again.classes) == (found.labels.ids, found.labels.classes)


def sites_of(path: Path) -> None:
    assert all(load_sites(path).values())


def labels_with_sites(path: Path) -> None:
    labels = path.with_name("labels.csv")
    labels.write_text("filename,hog\ns1/a.mp4,1\n")
    found = labels_and_sites(labels, CLIPS, sites=path, site_pattern=None, allow_missing=False)
    assert all(found.labels.sites or ())


def predictions_of(path: Path) -> None:
    said = read_csv(path)
    assert said.probabilities.shape == (len(said.ids), len(said.classes))
    said.renamed(match_clips(said.ids, CLIPS, path.name).clip_of, LABELS.classes)


def template_of(path: Path) -> None:
    assert set(clips_of_template(read_template(path), CLIPS).ids) <= set(CLIPS)


def corrections_of(path: Path) -> None:
    correct_labels(LABELS, [path])


READERS = (labels_of, sites_of, labels_with_sites, predictions_of, template_of, corrections_of)


def says_one_sentence(read: Callable[[Path], None], path: Path) -> bool:
    """Whether the reader took the file; if not, it says one sentence that names the file."""
    try:
        read(path)
    except TraplineError as error:
        message = str(error)
        assert not set(message) & set("\n\r\t\x00\x1b\u2028")
        assert path.name.partition(".")[0] in message
        assert len(message) > 20
        return False
    return True


@pytest.mark.parametrize("read", READERS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=files)
def test_a_table_gives_a_result_or_one_sentence(read: Callable[[Path], None], tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fuzzed.csv"
    path.write_bytes(content)
    says_one_sentence(read, path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=files, cut=st.integers(0, 40))
def test_a_compressed_table_gives_a_result_or_one_sentence(tmp_path: Path, content: bytes, cut: int) -> None:
    path = tmp_path / "fuzzed.csv.gz"
    packed = gzip.compress(content)
    path.write_bytes(packed[: len(packed) - cut])
    for read in READERS:
        says_one_sentence(read, path)


FOREIGN = {
    "images_1.csv": "project_id deployment_id image_id filename location is_blank identified_by wi_taxon_id class "
    "genus species common_name sequence_id",
    "ImageData.csv": "File RelativePath DateTime DeleteFlag Species Notes",
    "records.csv": "Station Species DateTimeOriginal Directory FileName",
    "videos.csv": "video_uuid original_filename top_1_label corrected_label",
    "mapping.csv": "column theirs class",
    "media.csv": "mediaID deploymentID timestamp filePath fileName fileMediatype",
    "deployments.csv": "deploymentID locationID locationName latitude longitude deployment_id placename",
    "observations.csv": "deploymentID mediaID eventID eventStart eventEnd observationLevel observationType "
    "cameraSetupType scientificName classificationMethod classifiedBy observationTags",
}
FOREIGN_CELLS = st.sampled_from(
    [
        *("d1", "m1", "m2", "e1", "media", "event", "animal", "blank", "unknown", "human", "machine", "Vulpes vulpes"),
        *("2024-05-01T10:00:00Z", "2024-05-01T10:00:00", "2024-13-45", "video/mp4", "audio/wav", "s1/a.mp4", "a.mp4"),
        *("https://x.org/a/file", "setup", "1.5", "true", "false", "", "No CV Result", "Computer vision", "class:hog"),
    ]
)


@st.composite
def foreign_tables(draw: st.DrawFn, name: str) -> bytes:
    """A table in the shape of another program's, with cells that fit their columns now and then."""
    columns = FOREIGN[name].split(" ")
    for _ in range(draw(st.sampled_from([0, 0, 0, 1]))):
        columns[draw(st.integers(0, len(columns) - 1))] = draw(cells)
    cell = st.one_of(FOREIGN_CELLS, FOREIGN_CELLS, FOREIGN_CELLS, cells)
    rows = draw(st.lists(st.lists(cell, min_size=len(columns), max_size=len(columns)), min_size=1, max_size=5))
    written = io.StringIO()
    csv.writer(written).writerows([columns, *rows])
    return written.getvalue().encode("utf-8", errors="replace")[: draw(st.sampled_from([None, None, None, -3]))]


VALUES = st.recursive(
    FOREIGN_CELLS | cells | st.none() | st.booleans() | st.integers(-1, 3) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FOREIGN_CELLS, inner, max_size=3),
    max_leaves=4,
)
COCO_FIELDS = st.sampled_from(["id", "file_name", "location", "corrupt", "name", "image_id", "category_id"])
COCO = st.fixed_dictionaries(
    {
        name: st.lists(st.dictionaries(COCO_FIELDS, st.integers(0, 2) | VALUES, max_size=6) | VALUES, max_size=3)
        | VALUES
        for name in ("images", "annotations", "categories")
    }
)


def foreign_labels_of(path: Path) -> None:
    for machine in (False, True):
        found = read_labels(path, machine=machine)
        assert set(found.labels.ids)
        assert found.notes or path.suffix == ".csv"


@pytest.mark.parametrize("name", ["images_1.csv", "ImageData.csv", "records.csv", "videos.csv"])
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_table_of_another_program_gives_labels_or_one_sentence(
    tmp_path: Path, name: str, data: st.DataObject
) -> None:
    (tmp_path / name).write_bytes(data.draw(foreign_tables(name)))
    says_one_sentence(foreign_labels_of, tmp_path / name)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_bundle_of_tables_gives_labels_or_one_sentence(tmp_path: Path, data: st.DataObject) -> None:
    folder = tmp_path / "fuzzed"
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name in data.draw(st.sampled_from([("images_1.csv", "deployments.csv"), PACKAGED, PACKAGED])):
        (folder / name).write_bytes(data.draw(foreign_tables(name) | foreign_tables(name) | st.binary(max_size=9)))
    resources = [{"name": name.partition(".")[0], "path": name} for name in PACKAGED]
    descriptor = {
        "profile": "x/camtrap-dp/1.0.2/x.json",
        "resources": data.draw(st.sampled_from([resources, resources[1:]])),
    }
    text = json.dumps(descriptor | data.draw(st.sampled_from([{}, {}, {"resources": 1}, {"profile": []}])))
    (folder / "datapackage.json").write_text(text[: data.draw(st.sampled_from([None, None, -1]))])
    says_one_sentence(foreign_labels_of, folder)
    packed = tmp_path / "fuzzed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    content = bytearray(packed.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=2)):
        content[place] ^= data.draw(st.integers(0, 255))
    packed.write_bytes(bytes(content))
    says_one_sentence(foreign_labels_of, packed)


PACKAGED = ("deployments.csv", "media.csv", "observations.csv")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=COCO.map(lambda value: json.dumps(value, default=str).encode()) | st.binary(max_size=20),
    cut=st.sampled_from([0, 0, 1]),
)
def test_a_json_gives_labels_or_one_sentence(tmp_path: Path, content: bytes, cut: int) -> None:
    path = tmp_path / "fuzzed.json"
    path.write_bytes(content[: len(content) - cut])
    says_one_sentence(foreign_labels_of, path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_database_gives_labels_or_one_sentence(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "fuzzed.ddb"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as base:
        base.execute("CREATE TABLE DataTable (Id INTEGER, File TEXT, RelativePath TEXT, DeleteFlag TEXT, Species TEXT)")
        value = FOREIGN_CELLS | st.none() | st.integers(-3, 3) | st.binary(max_size=3)
        rows = data.draw(st.lists(st.tuples(*[value] * 5), max_size=4))
        base.executemany("INSERT INTO DataTable VALUES (?, ?, ?, ?, ?)", rows)
        base.commit()
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=3)):
        content[place] ^= data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.sampled_from([None, None, -9, 100]))]))
    says_one_sentence(foreign_labels_of, path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=foreign_tables("mapping.csv"))
def test_a_mapping_gives_a_result_or_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fuzzed.csv"
    path.write_bytes(content)
    says_one_sentence(lambda path: read_mapping(path).apply(Labelled(labels=LABELS, sites={})) and None, path)


WORDS = st.sampled_from(
    [
        *Recipe.model_fields,
        "kind",
        "name",
        "sources",
        "classes",
        "each",
        "deviation",
        "attention",
        "queries",
        "~",
        "null",
    ]
)
SCALARS = (
    WORDS
    | st.sampled_from(
        [
            "1",
            "0",
            "-1",
            "1e3",
            "1.5",
            ".nan",
            ".inf",
            "yes",
            "2024-13-45",
            "2024-01-02",
            "!!binary aGk=",
            "!!set {a}",
            "!!int x",
        ]
    )
    | st.sampled_from(["*a", "&a [*a]", "<<: 1", "? [a]", "!!python/none", "9" * 5000, '"\\uD800"', "'"])
    | st.text(max_size=5)
)
RECIPES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]")
        | st.dictionaries(WORDS | SCALARS, inner, max_size=3).map(
            lambda parts: "{" + ", ".join(f"{key}: {value}" for key, value in parts.items()) + "}"
        )
    ),
    max_leaves=8,
)
LINES = st.lists(st.tuples(WORDS, RECIPES).map(lambda pair: f"{pair[0]}: {pair[1]}\n"), max_size=4).map("".join)


def recipe_of(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.heads


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=(LINES | RECIPES).map(lambda text: text.encode(errors="replace")) | st.binary(max_size=20))
def test_a_recipe_gives_a_result_or_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fuzzed.yaml"
    path.write_bytes(content)
    says_one_sentence(recipe_of, path)


@settings(max_examples=200, deadline=None)
@given(
    ids=st.lists(cells, max_size=8, unique=True),
    clips=st.lists(cells, max_size=8, unique=True),
    rules=st.lists(st.sampled_from(["=", "a=b", "*.mp4=*.avi", "s1/=", "*=", "/*=*", "*a*=*"]) | cells, max_size=2),
)
def test_ids_mean_clips_or_none_and_exact_ones_themselves(ids: list[str], clips: list[str], rules: list[str]) -> None:
    try:
        parsed = parse_id_map(rules)
    except LabelError:
        return
    found = match_clips(ids, clips, "t.csv", parsed)
    assert set(found.clip_of) | set(found.unknown) == set(ids)
    assert set(found.clip_of.values()) <= set(clips)
    if not parsed:
        assert all(found.clip_of[clip_id] == clip_id for clip_id in set(ids) & set(clips))


def test_what_is_wrong_is_an_error_of_its_kind(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00")
    for read, kind in ((labels_of, LabelError), (template_of, LabelError), (predictions_of, PredictionError)):
        with pytest.raises(kind, match=r"t\.csv"):
            read(tmp_path / "t.csv")
    with pytest.raises(ConfigError, match=r"t\.csv"):
        load_recipe(tmp_path / "t.csv")
