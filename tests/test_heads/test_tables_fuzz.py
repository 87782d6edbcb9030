"""Readers of tables and recipes give a result or one sentence with file and place, whatever the file holds."""

import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heads.data.corrections import correct_labels
from heads.data.labels import LabelTable
from heads.data.matching import match_clips, parse_id_map
from heads.data.predictions import read_csv
from heads.data.sites import labels_and_sites, load_sites
from heads.errors import LabelError, PredictionError
from heads.recipe import Recipe, load_recipe
from heads.workflows.output import clips_of_template, read_template
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
