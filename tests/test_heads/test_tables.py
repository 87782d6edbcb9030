"""One rule for the cells of every table, and for the names in them."""

import lzma
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_store import clip_ids, make_store

from heads.data.labels import LabelTable
from heads.data.predictions import read_csv
from heads.data.reading.label_formats import load_labels, read_labels
from heads.data.reading.sites import labels_and_sites, load_sites
from heads.data.tables import read_table, tidy
from heads.errors import LabelError, PredictionError
from heads.recipe import HeadConfig, Recipe
from heads.workflows.answers.output import clips_of_template, read_template
from heads.workflows.job import prepare_job
from store.errors import UnknownClipError

NBSP = "\u00a0"
SPELT: list[Callable[[str], str]] = [
    lambda text: f" {text}",
    lambda text: f"{text}\t",
    lambda text: f"{NBSP}{text}\u2009",
    lambda text: text.replace(" ", NBSP),
    lambda text: text.replace(" ", "  "),
    lambda text: f"\u200b{text}",
]


def write(tmp_path: Path, text: str, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("spelt", SPELT)
def test_white_space_of_any_kind_counts_alike_in_every_table(tmp_path: Path, spelt: Callable[[str], str]) -> None:
    clip, site, hog = (spelt(text) for text in ("s 1/a.mp4", "site 1", "red hog"))
    clips = ["s 1/a.mp4", "s 1/b.mp4"]
    wide = write(
        tmp_path, f"{spelt('filename')},{hog},{spelt('site')}\n{clip},{spelt('1')},{site}\ns 1/b.mp4,0,site 1\n"
    )
    long = write(tmp_path, f"{spelt('filename')},label,site\n{clip},{hog},{site}\ns 1/b.mp4,lion,site 1\n", "l.csv")
    for path, classes in ((wide, ("red hog",)), (long, ("lion", "red hog"))):
        labels = labels_and_sites(path, clips, sites=None, site_pattern=None, allow_missing=False).labels
        assert (labels.ids, labels.classes, labels.sites) == (tuple(clips), classes, ("site 1", "site 1"))
        assert labels.only(["red hog"]).values[:, 0].tolist() == [1, 0]
    sites = write(tmp_path, f"filename,{spelt('site')}\n{clip},{site}\ns 1/b.mp4,site 2\n", "s.csv")
    found = labels_and_sites(wide, clips, sites=sites, site_pattern=None)
    assert found.labels.sites == ("site 1", "site 2")
    template = read_template(write(tmp_path, f"filename,{hog}\n{clip},{NBSP}\n", "template.csv"))
    assert template.columns == ("filename", "red hog")
    assert clips_of_template(template, clips).ids == ("s 1/a.mp4",)
    said = read_csv(write(tmp_path, f"{spelt('clip_id')},{hog}\n{clip},{spelt('0.25')}\n", "p.csv"))
    assert (said.classes, said.probabilities.tolist()) == (("red hog",), [[0.25]])


def test_folders_that_begin_or_end_with_a_space_are_matched_by_every_table(tmp_path: Path) -> None:
    clips = [" lead/a.mp4", "tra il /b.mp4", "new/IMG.MP4", "new/img.mp4"]
    rows = [f'"{clip}",{place % 2}' for place, clip in enumerate(clips)]
    labels = write(tmp_path, "\n".join(["filename,pig", *rows]) + "\n")
    sites = write(tmp_path, "\n".join(["filename,site", *rows]) + "\n", "s.csv")
    found = labels_and_sites(labels, clips, sites=sites, site_pattern=None, allow_missing=False)
    assert (found.labels.ids, found.labels.sites, found.notes) == (tuple(clips), ("0", "1", "0", "1"), ())
    assert clips_of_template(read_template(labels), clips).ids == tuple(clips)
    assert read_csv(labels).ids == tuple(clips)


@pytest.mark.parametrize("word", ["", " ", NBSP, "nan", "NaN", "NA", "N/A", "#N/A", "<NA>", "NULL"])
def test_cells_that_say_nothing_are_empty_in_every_table(tmp_path: Path, word: str) -> None:
    with pytest.raises(LabelError, match=r"t.csv, line 3, clip 'b': the label is empty, .*; write 'blank' if"):
        load_labels(write(tmp_path, f"filename,label\na,hog\nb,{word}\n"))
    with pytest.raises(LabelError, match=r"t.csv, line 2, clip 'a': the site is empty"):
        load_labels(write(tmp_path, f"filename,label,site\na,hog,{word}\n"))
    with pytest.raises(LabelError, match=r"t.csv, line 2, clip 'a': the site is empty"):
        load_sites(write(tmp_path, f"filename,site\na,{word}\n"))
    with pytest.raises(LabelError, match=r"t.csv, line 2, clip 'a': 'hog' is '.*', expected 0 or 1"):
        load_labels(write(tmp_path, f"filename,hog\na,{word}\n"))
    with pytest.raises(PredictionError, match=r"t.csv, line 2, clip 'a': 'hog' is '.*', expected a probability"):
        read_csv(write(tmp_path, f"filename,hog\na,{word}\n"))


def test_spellings_that_look_alike_are_one_class_and_said(tmp_path: Path) -> None:
    found = read_labels(write(tmp_path, f"filename,label\na,red hog\nb,red{NBSP}hog\nc,lion\n"))
    assert found.labels.classes == ("lion", "red hog")
    [note] = found.notes
    assert r"'red hog', 'red\xa0hog' as 'red hog'" in note


def test_case_variants_stay_apart_and_are_named(tmp_path: Path) -> None:
    rows = ["a,pig,S1", "b,PIG,s1", "c,lion,S1", "d,small cat,S2", "e,small_cat,S2"]
    path = write(tmp_path, "\n".join(["filename,label,site", *rows]) + "\n")
    found = labels_and_sites(path, ["a", "b", "c", "d", "e"], sites=None, site_pattern=None)
    assert found.labels.classes == ("PIG", "lion", "pig", "small cat", "small_cat")
    classes, sites = found.notes
    assert classes.startswith("t.csv: 'PIG' and 'pig'; 'small cat' and 'small_cat' look like spellings of one name")
    assert sites.startswith("t.csv: 'S1' and 's1' look like spellings of one name")


@pytest.mark.parametrize(
    "word", ["Blank", "BLANK", "empty", "Empty", "none", "None", "no animal", "No_Animal", "nothing"]
)
def test_words_for_blank_are_recognised_and_said(tmp_path: Path, word: str) -> None:
    found = read_labels(write(tmp_path, f"filename,label\na,{word}\nb,blank\nc,hog\n"))
    assert found.labels.classes == ("blank", "hog")
    assert found.labels.values.tolist() == [[1, 0], [1, 0], [0, 1]]
    assert found.notes == (f"t.csv: '{word}' is taken for 'blank', the clips that show nothing",)
    wide = read_labels(write(tmp_path, f"filename,hog,{word}\na,0,1\nb,1,0\n"))
    assert set(wide.labels.classes) == {"hog", "blank"}
    assert wide.labels.only(["blank"]).values.tolist() == [[1], [0]]
    with pytest.raises(LabelError, match=rf"1 clip is labelled '{word}' and a species at once: 'a'"):
        read_labels(write(tmp_path, f"filename,label\na,{word}\na,hog\n"))


def test_blank_is_blank_in_recipes_too() -> None:
    assert HeadConfig(classes=("hog", "red\u00a0hog", "Empty")).classes == ("hog", "red hog", "blank")


def test_nameless_columns_of_spreadsheets_are_passed_over_wherever_they_stand(tmp_path: Path) -> None:
    for text in ("filename,hog,,\na,1,,\nb,0,,\n", "filename,hog,,\na,1\nb,0,\n", ",filename,,hog\n,a,,1\n,b, ,0\n"):
        assert load_labels(write(tmp_path, text)).values.tolist() == [[1], [0]]
        assert read_csv(write(tmp_path, text)).probabilities.tolist() == [[1], [0]]
    with pytest.raises(LabelError, match="column 3 of the header has no name; name it or remove it"):
        load_labels(write(tmp_path, "filename,hog,\na,1,x\n"))


@pytest.mark.parametrize("header", ["filename", "Filename", "FilePath", "clip id", "Clip-ID", "File Name"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_column_of_clips_is_found_in_any_spelling(tmp_path: Path, header: str, separator: str) -> None:
    path = write(tmp_path, f"{header}{separator}hog\na{separator}1\nb{separator}0\n")
    assert load_labels(path).ids == ("a", "b")
    assert read_csv(path).ids == ("a", "b")
    assert read_template(path).clip_ids() == ["a", "b"]


def test_compressed_tables_of_every_kind_are_read_and_broken_ones_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.xz"
    path.write_bytes(lzma.compress(b"filename,hog\na,1\nb,0\n"))
    assert load_labels(path).ids == ("a", "b")
    for name, content in (("t.csv.xz", path.read_bytes()[:20]), ("t.csv.gz", b"no gzip"), ("t.csv.bz2", b"BZh9")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(LabelError, match=rf"{name}"):
            read_table(tmp_path / name)


def test_a_template_with_a_row_twice_is_blamed_itself(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"^t.csv, line 4: clip 'a' stands already in line 2; keep one of the rows$"):
        read_template(write(tmp_path, "filename,hog\na,\nb,\na,\n"))
    template = read_template(write(tmp_path, "filename,hog\na.mp4,\nA.MP4,\n"))
    with pytest.raises(LabelError, match=r"^t.csv, line 3: clip 'a.mp4' stands already in line 2"):
        clips_of_template(template, ["a.mp4"])
    with pytest.raises(UnknownClipError, match=r"^t.csv: 1 clip id is unknown: 'b'; "):
        clips_of_template(read_template(write(tmp_path, "filename,hog\nb,\n")), ["a.mp4"])


@pytest.mark.parametrize("values", [np.ones((12, 1)), np.tile([[1, 0]], (12, 1)), np.ones((12, 2))])
def test_labels_of_which_nothing_can_be_learned_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    store = make_store(tmp_path / "store", values.astype(np.uint8))
    labels = LabelTable(
        ids=tuple(clip_ids(12)),
        classes=("blank", "hog")[: values.shape[1]],
        values=values.astype(np.uint8),
        origin="t.csv",
    )
    with pytest.raises(
        LabelError, match=r"^t.csv: each of the 12 clips .* shows 'blank'.* nothing to tell apart; label"
    ):
        prepare_job(store, labels, Recipe(folds=2))


def test_a_class_on_every_clip_is_said(tmp_path: Path) -> None:
    values = np.stack([np.ones(12), np.arange(12) % 2], axis=1).astype(np.uint8)
    store = make_store(tmp_path / "store", values)
    labels = LabelTable(ids=tuple(clip_ids(12)), classes=("forest", "hog"), values=values, origin="t.csv")
    assert any("every clip shows 'forest'" in note for note in prepare_job(store, labels, Recipe(folds=2)).notes)


def test_tidy_is_the_same_when_done_again() -> None:
    for text in ("a", f" a{NBSP}{NBSP}b ", "\ufeffa", "Tai\u0308", "\u200b", "\U0001f98c"):
        assert tidy(tidy(text)) == tidy(text)
