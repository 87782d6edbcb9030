from pathlib import Path

import numpy as np
import pytest

from heads.data.labels import LabelTable
from heads.data.reading.corrections import correct_labels
from heads.errors import LabelError

LABELS = LabelTable(
    ids=("a.mp4", "b.mp4", "c.mp4"),
    classes=("blank", "hog", "größe"),
    values=np.eye(3, dtype=np.uint8),
    sites=("s", "t", "u"),
    origin="labels.csv",
)


def table(folder: Path, text: str) -> Path:
    path = folder / "checked.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_later_of_two_tables_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "1.csv", tmp_path / "2.csv"
    first.write_text("filename,correct\na.mp4,hog\nb.mp4,blank\n")
    second.write_text("clip_id;why;correct\n./a.mp4;;gro\u0308\u00dfe;hog\n".replace("e;hog", "e"), encoding="utf-8")
    labels, notes = correct_labels(LABELS, [first, second])
    assert labels.values.tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 1]]
    assert labels.sites == LABELS.sites
    assert notes == [
        "1.csv: 2 labels corrected; 0 rows are not filled in",
        "2.csv: 1 label corrected; 0 rows are not filled in",
    ]


def test_a_label_that_was_right_is_not_counted(tmp_path: Path) -> None:
    labels, notes = correct_labels(LABELS, [table(tmp_path, "filename,correct\na.mp4,blank\nb.mp4,\n")])
    assert (labels.values == LABELS.values).all()
    assert notes == ["checked.csv: 0 labels corrected; 1 row is not filled in"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("filename,label\na.mp4,hog\n", "checked.csv: there is no column 'correct', found 'filename', 'label'"),
        ("filename,correct\nz.mp4,hog\n", "1 clip has no label to correct in labels.csv: 'z.mp4'; add them there"),
        ("filename,correct\na.mp4,hogg\n", r"line 2, clip 'a.mp4': 'hogg' is no class of labels.csv; .*mean 'hog'\?"),
        ('filename,correct\na.mp4,"hog; "\n', "'' is no class of labels.csv; there are 'blank', 'hog', 'größe'"),
        ("filename,correct\na.mp4,hog\na.mp4,blank\n", "line 3: clip 'a.mp4' stands already in line 2"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(LabelError, match=said):
        correct_labels(LABELS, [table(tmp_path, text)])
