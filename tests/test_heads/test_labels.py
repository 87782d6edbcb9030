import json
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from heads.data.labels import LabelTable
from heads.data.reading import label_formats
from heads.data.reading.label_formats import LABEL_FORMATS, Labelled, load_labels, read_labels
from heads.data.reading.sites import labels_and_sites, load_sites, sites_from_pattern
from heads.errors import LabelError
from store.errors import DuplicateClipError, UnknownClipError


def write(tmp_path: Path, text: str, name: str = "labels.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


def test_one_hot_table(tmp_path: Path) -> None:
    labels = load_labels(
        write(tmp_path, "filename,blank,hog,small cat\na.mp4,0.0,1.0,1\n./b/c.mp4,1,0,0\nd.mp4,0,0,0\n")
    )
    assert labels.ids == ("a.mp4", "b/c.mp4", "d.mp4")
    assert labels.classes == ("blank", "hog", "small cat")
    assert labels.values.tolist() == [[0, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert labels.values.dtype == np.uint8
    assert labels.sites is None


def test_long_table_joins_rows_of_one_clip_and_ignores_other_columns(tmp_path: Path) -> None:
    text = "filepath,label,split,site\nx/a.mp4,hog,train,s1\nb.mp4,blank,val,s2\nx/a.mp4,duiker,train,s1\n"
    labels = load_labels(write(tmp_path, text))
    assert labels.ids == ("x/a.mp4", "b.mp4")
    assert labels.classes == ("blank", "duiker", "hog")
    assert labels.values.tolist() == [[0, 1, 1], [1, 0, 0]]
    assert labels.sites == ("s1", "s2")


def test_two_spellings_of_one_letter_are_one_site_and_one_class(tmp_path: Path) -> None:
    one, two = (unicodedata.normalize(form, "Taï") for form in ("NFC", "NFD"))
    long = load_labels(write(tmp_path, f"filename,label,site\na,{one},{one}\nb,{two},{two}\nb,hog,{one}\n"))
    assert (long.classes, long.sites) == ((one, "hog"), (one, one))
    assert long.values.sum() == 3
    assert load_sites(write(tmp_path, f"filename,site\na,{two}\n", "sites.csv")) == {"a": one}
    assert load_labels(write(tmp_path, f"filename,{two}\na,1\nb,0\n", "hot.csv")).classes == (one,)
    with pytest.raises(LabelError, match=r"the header names .* more than once"):
        load_labels(write(tmp_path, f"filename,{one},{two}\na,1,0\n", "twice.csv"))


def test_both_forms_say_the_same(tmp_path: Path) -> None:
    one_hot = load_labels(write(tmp_path, "filename,blank,hog\na,0,1\nb,1,0\n"))
    long = load_labels(write(tmp_path, "clip_id,label\na,hog\nb,blank\n", "long.csv"))
    assert (one_hot.ids, one_hot.classes) == (long.ids, long.classes)
    assert np.array_equal(one_hot.values, long.values)


def test_byte_order_mark_blank_lines_and_decomposed_letters(tmp_path: Path) -> None:
    text = "\ufefffilename,hog\r\n\r\nTai\u0308/a.mp4,1\r\n\r\nb.mp4,0\r\n"
    assert load_labels(write(tmp_path, text)).ids == ("Ta\u00ef/a.mp4", "b.mp4")


def test_sites_file_takes_precedence_and_may_hold_more_clips(tmp_path: Path) -> None:
    labels = write(tmp_path, "filename,site,hog\na,old,1\nb,old,0\n")
    sites = write(tmp_path, "filename,site,infrared\nb,s2,1\na,s1,0\nc,s3,0\n", "sites.csv")
    assert load_labels(labels).sites == ("old", "old")
    assert load_labels(labels).with_sites(load_sites(sites), sites.name).sites == ("s1", "s2")
    assert load_sites(sites) == {"a": "s1", "b": "s2", "c": "s3"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filename,hog\na,2\n", r"labels.csv, line 2, clip 'a': 'hog' is '2', expected 0 or 1"),
        ("filename,hog\na,1\nb,\n", r"line 3, clip 'b': 'hog' is '', expected 0 or 1"),
        ("filename,hog\na,nan\n", r"clip 'a': 'hog' is 'nan'"),
        ("filename,hog\na,1\nb,0\na,1\n", r"line 4: clip 'a' stands already in line 2"),
        ("filename,hog,lion\na,0,0\n", r"no clip shows 'hog', 'lion'; a class needs at least one positive"),
        ("filename,blank,hog\na,1,1\nb,1,0\n", r"1 clip is labelled 'blank' and a species at once: 'a'"),
        ("filename,hog\n", r"the table is empty"),
        ("", r"the table is empty"),
        (
            "name,hog\na,1\n",
            r"no column of clips, expected one of 'filename', 'filepath', 'clip_id', found 'name', 'hog'",
        ),
        ("filename\na\n", r"no class column"),
        ("filename,hog,hog\na,1,1\n", r"names 'hog' more than once"),
        ("filename,hog,\na,1,1\n", r"column 3 of the header has no name"),
        ("filename,hog\na,1,1\n", r"line 2: 3 cells, expected 2"),
        ("filename,hog\n,1\n", r"line 2: the column 'filename' is empty"),
        ("filename,fold\na,1\n", r"a class cannot be called 'fold'"),
        ("filename,origin\na,1\n", r"a class cannot be called 'origin'"),
        ("filename|hog\na|1\n", r"found 'filename|hog'".replace("|", r"\|")),
        ("filepath,label\na,hog\na,hog\n", r"line 3: clip 'a' with label 'hog' stands already in line 2"),
        ("filepath,label\na,\n", r"line 2, clip 'a': the label is empty"),
        ("filepath,label\na,blank\na,hog\n", r"labelled 'blank' and a species"),
        ("filepath,label,site\na,hog,s1\na,duiker,s2\n", r"clip 'a': site 's2', but 's1' further up"),
        ("filepath,label,site\na,hog,\n", r"clip 'a': the site is empty"),
        ('filename,hog\n"a,1\n', r"not a CSV file"),
    ],
)
def test_wrong_tables_get_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(LabelError, match=message) as caught:
        load_labels(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_not_utf8_and_missing_files(tmp_path: Path) -> None:
    path = tmp_path / "latin.csv"
    path.write_bytes("filename,hog\nTa\u00ef.mp4,1\n".encode("latin-1"))
    with pytest.raises(LabelError, match=r"latin.csv: not a UTF-8 text file"):
        load_labels(path)
    with pytest.raises(LabelError, match="no such file"):
        load_labels(tmp_path / "none.csv")
    with pytest.raises(LabelError, match=r"cannot be read \(Is a directory\); name a CSV file"):
        load_labels(tmp_path)


def test_wrong_sites(tmp_path: Path) -> None:
    labels = write(tmp_path, "filename,hog\na,1\nb,0\n")
    some = write(tmp_path, "filename,site\na,s1\n", "some.csv")
    with pytest.raises(
        UnknownClipError, match=r"some.csv: 1 clip id is unknown: 'b'; every labelled clip needs a site"
    ):
        load_labels(labels).with_sites(load_sites(some), some.name)
    with pytest.raises(LabelError, match="no column 'site'"):
        load_sites(write(tmp_path, "filename,place\na,s1\n", "sites.csv"))
    with pytest.raises(LabelError, match="stands already in line 2"):
        load_sites(write(tmp_path, "filename,site\na,s1\na,s1\n", "sites.csv"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK\x03\x04\xff", r"labels.xls: not a UTF-8 text file \(invalid start byte\); save it as CSV UTF-8, or .*"),
        (b'"a', r"labels.xls: not a CSV file .*"),
    ],
)
def test_a_file_of_no_format_is_told_which_there_are(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "labels.xls"
    path.write_bytes(content)
    formats = "a CSV of filename and a column of 0 and 1 for each class, or a CSV of filename and label .*"
    with pytest.raises(LabelError, match=f"^{reason}; labels are read from .*{formats}$"):
        load_labels(path)
    with pytest.raises(LabelError, match=r"there is no such file; name a CSV file that exists$"):
        load_labels(tmp_path / "none.xls")


def test_a_table_without_clips_is_told_what_their_column_is_called(tmp_path: Path) -> None:
    with pytest.raises(
        LabelError,
        match=r"there is no column of clips, expected one of 'filename', 'filepath', 'clip_id', found 'name', 'hog'; "
        r"name the clips' column so in the first line$",
    ):
        load_labels(write(tmp_path, "name,hog\na,1\n"))


def test_a_format_is_added_by_its_row_in_the_table_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cards:
        """A list of records, some of clips that have a camera but no label."""

        about = "a .json of clip, camera and animals"

        def recognises(self, path: Path) -> bool:
            return path.suffix == ".json"

        def read(self, path: Path) -> Labelled:
            cards = json.loads(path.read_text())
            shown = {card["clip"]: card["animals"] for card in cards if "animals" in card}
            sites = {card["clip"]: card["camera"] for card in cards}
            classes = tuple(sorted({name for names in shown.values() for name in names}))
            values = np.array([[name in names for name in classes] for names in shown.values()], np.uint8)
            labels = LabelTable(ids=tuple(shown), classes=classes, values=values, origin=path.name)
            return Labelled(labels=labels.with_sites(sites, path.name), sites=sites)

    monkeypatch.setattr(label_formats, "LABEL_FORMATS", (*LABEL_FORMATS, Cards()))
    path = tmp_path / "cards.json"
    cards = [
        {"clip": "a", "camera": "k1", "animals": ["hog"]},
        {"clip": "b", "camera": "k2"},
        {"clip": "c", "camera": "k1", "animals": ["blank"]},
    ]
    path.write_text(json.dumps(cards))
    found = labels_and_sites(path, ["a", "b", "c", "d"], sites=None, site_pattern=None)
    labels, sites = found.labels, found.sites
    assert (labels.ids, labels.classes, labels.sites) == (("a", "c"), ("blank", "hog"), ("k1", "k1"))
    assert labels.values.tolist() == [[0, 1], [1, 0]]
    assert sites == {"a": "k1", "b": "k2", "c": "k1"}
    given = write(tmp_path, "filename,site\na,s1\nc,s2\n", "sites.csv")
    assert labels_and_sites(path, [], sites=given, site_pattern=None).sites == {"a": "s1", "c": "s2"}
    path.write_text(json.dumps([{"clip": "a", "camera": "k1", "animals": ["hog", "blank"]}]))
    with pytest.raises(LabelError, match=r"cards.json: 1 clip is labelled 'blank' and a species at once: 'a'"):
        load_labels(path)
    with pytest.raises(LabelError, match=r"labels are read from .*, or a \.json of clip, camera and animals$"):
        load_labels(write(tmp_path, "", "labels.txt"))


def test_unknown_clips_are_named() -> None:
    labels = LabelTable(ids=("a", "b"), classes=("hog",), values=np.array([[1], [0]], np.uint8), origin="labels.csv")
    labels.check_against(["b", "a", "c"])
    with pytest.raises(UnknownClipError, match=r"labels.csv: 1 clip id is unknown: 'b'; featurize"):
        labels.check_against(["a"])


def test_select_follows_the_ids() -> None:
    values = np.array([[1, 0], [0, 1], [0, 0]], np.uint8)
    labels = LabelTable(ids=("a", "b", "c"), classes=("hog", "lion"), values=values, sites=("s", "t", "u"))
    chosen = labels.select(["c", "a"])
    assert chosen.ids == ("c", "a")
    assert chosen.values.tolist() == [[0, 0], [1, 0]]
    assert chosen.sites == ("u", "s")
    with pytest.raises(UnknownClipError, match="'z'"):
        labels.select(["z"])
    with pytest.raises(DuplicateClipError, match="'a'"):
        labels.select(["a", "a"])


def test_a_frame_comes_back_as_it_was_from_memory_and_from_a_csv(tmp_path: Path) -> None:
    values = np.array([[1, 0, 0], [0, 0, 1]], np.uint8)  # a part of a table may lack a class
    for sites in (None, ("007", "NA")):
        labels = LabelTable(ids=("a b.mp4", "NA"), classes=("hog", "lion", "7"), values=values, sites=sites)
        labels.to_frame().to_csv(tmp_path / "labels.csv", index=False)
        text = pd.read_csv(tmp_path / "labels.csv", dtype=str, keep_default_na=False)
        for frame in (labels.to_frame(), text):
            again = LabelTable.from_frame(frame)
            assert (again.ids, again.classes, again.sites) == (labels.ids, labels.classes, sites)
            assert again.values.dtype == np.uint8
            assert np.array_equal(again.values, values)
    text.loc[1, "lion"] = "maybe"
    with pytest.raises(LabelError, match=r"^here.csv, clip 'NA': 'lion' is 'maybe', expected 0 or 1$"):
        LabelTable.from_frame(text, "here.csv")


def test_sites_from_the_path() -> None:
    ids = ("taï/cam 1/a.mp4", "taï/cam 2/b.mp4")
    assert list(sites_from_pattern(ids, r"^[^/]+/([^/]+)/").values()) == ["cam 1", "cam 2"]
    assert list(sites_from_pattern(ids, r"(x)?(?P<site>cam \d)").values()) == ["cam 1", "cam 2"]
    with pytest.raises(LabelError, match=r"no site in 1 clip ids: 'c.mp4'"):
        sites_from_pattern((*ids, "c.mp4"), "^(.+)/")
    with pytest.raises(LabelError, match="there is no group"):
        sites_from_pattern(ids, "cam")
    with pytest.raises(LabelError, match="not a regular expression"):
        sites_from_pattern(ids, "(")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_of_spreadsheets_are_read_whatever_separates_their_cells(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "labels.csv"
    rows = [["filename", "hog", '"wild, big cat"', "", ""], ["a.mp4", "1,0" if separator == ";" else "1", "0", "", ""]]
    rows.append(["b.mp4", "0", "1", "", ""])
    path.write_text("".join(separator.join(row) + "\n" for row in rows))
    labels = load_labels(path)
    assert labels.classes == ("hog", "wild, big cat")
    assert labels.values.tolist() == [[1, 0], [0, 1]]


def test_a_class_that_no_clip_shows_is_left_out_and_said(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("filename,hog,lion\na,1,0\nb,0,0\n")
    found = read_labels(path)
    assert found.labels.classes == ("hog",)
    assert found.labels.values.tolist() == [[1], [0]]
    assert found.notes == (
        "labels.csv: no clip shows 'lion': left out, since a class needs at least one positive example",
    )
