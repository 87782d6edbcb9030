"""`heads labels`: labels of other programs become tables of ours, by a mapping that drafts itself."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from heads.cli import app
from heads.data.reading.label_formats import read_labels
from heads.data.reading.mapping import read_mapping
from heads.data.reading.sites import labels_and_sites, load_sites
from heads.errors import LabelError

ROWS = "Station,Species,Directory,FileName\nS1,Fox,S1,a.mp4\nS1,Empty,S1,b.mp4\nS2,Cape fox,S2,a.mp4\n"


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "records.csv"
    path.write_text(ROWS)
    return path


def call(*words: object) -> Result:
    done = CliRunner().invoke(app, ["labels", *map(str, words)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_labels_and_sites_are_written_and_read_back_alike(records: Path, tmp_path: Path) -> None:
    done = call(records, "--out", tmp_path / "labels.csv", "--sites-out", tmp_path / "sites.csv")
    assert "records.csv: read as a record table of camtrapR: 3 clips with labels" in done.stderr
    assert (tmp_path / "labels.csv").read_text().splitlines()[0] == "filename,site,Cape fox,Fox,blank"
    read, again = read_labels(records).labels, read_labels(tmp_path / "labels.csv").labels
    assert (read.ids, read.classes, read.sites) == (again.ids, again.classes, again.sites)
    assert (read.values == again.values).all()
    assert load_sites(tmp_path / "sites.csv") == {"S1/a.mp4": "S1", "S1/b.mp4": "S1", "S2/a.mp4": "S2"}
    assert records.read_text() == ROWS


def test_our_own_form_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("filename,fox,hare\na,1,0\nb,0,1\n")
    done = call(tmp_path / "labels.csv")
    assert "labels.csv: read as a CSV of filename and a column of 0 and 1 for each class: 2 clips" in done.stderr
    assert "2 clips with labels" in done.stdout


def test_a_mapping_drafts_itself_and_is_then_applied(records: Path, tmp_path: Path) -> None:
    draft = tmp_path / "mapping.csv"
    call(records, "--write-mapping", draft)
    assert draft.read_text() == "theirs,class,clips\nCape fox,Cape fox,1\nFox,Fox,1\nblank,blank,1\n"
    unchanged = json.loads(call(records, "--mapping", draft, "--json").stdout)
    assert unchanged["classes"] == {"Cape fox": 1, "Fox": 1, "blank": 1}
    draft.write_text(draft.read_text().replace("Cape fox,Cape fox", "Cape fox,Fox"))
    with pytest.raises(LabelError, match="is there already and may have been filled in"):
        call(records, "--write-mapping", draft)
    told: dict[str, Any] = json.loads(call(records, "--mapping", draft, "--json").stdout)
    assert (told["clips"], told["classes"], told["sites"]) == (3, {"Fox": 2, "blank": 1}, 2)


def test_a_mapping_of_columns_that_may_all_hold_species_is_drafted_by_column(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("File,RelativePath,Species1,Species2,Seen\na.avi,,Fox,Hare,1\nb.avi,,Nothing,unknown,2\n")
    done = call(table, "--write-mapping", tmp_path / "m.csv")
    assert "4 names of 2 columns; keep the rows of the right one" in done.stdout
    drafted = pd.read_csv(tmp_path / "m.csv")
    assert drafted[["column", "theirs", "class"]].to_numpy().tolist() == [
        ["Species1", "Fox", "Fox"],
        ["Species1", "Nothing", "blank"],
        ["Species2", "Hare", "Hare"],
        ["Species2", "unknown", "?"],
    ]
    done = call(table, "--mapping", tmp_path / "m.csv", "--out", tmp_path / "labels.csv")
    assert (tmp_path / "labels.csv").read_text() == "filename,Fox,Hare\na.avi,1,1\n"


def test_what_is_read_is_never_written_to(records: Path, tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="is what is read; name another file"):
        call(records, "--out", records)
    with pytest.raises(LabelError, match="in one that is not there"):
        call(records, "--out", tmp_path / "no" / "labels.csv")
    (tmp_path / "labels.csv").write_text("filename,fox,hare\na,1,0\nb,0,1\n")
    with pytest.raises(LabelError, match=r"labels\.csv: it tells no sites"):
        call(tmp_path / "labels.csv", "--sites-out", tmp_path / "sites.csv")
    assert records.read_text() == ROWS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.csv", "records.csv"]


def test_training_reads_labels_by_the_same_mapping(records: Path, tmp_path: Path) -> None:
    (tmp_path / "mapping.csv").write_text("theirs,class\nFox,fox\nCape fox,fox\n")
    mapping = read_mapping(tmp_path / "mapping.csv")
    clips = ["card/S1/a.mp4", "card/S1/b.mp4", "card/S2/a.mp4"]
    found = labels_and_sites(records, clips, sites=None, site_pattern=None, allow_missing=False, mapping=mapping)
    assert (found.labels.ids, found.labels.classes) == (tuple(clips), ("fox", "blank"))
    assert found.labels.values.tolist() == [[1, 0], [0, 1], [1, 0]]
    assert found.labels.sites == ("S1", "S1", "S2")
