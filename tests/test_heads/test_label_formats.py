"""Label files of other programs, in their own shape, become labels; what they leave out is told."""

import csv
import json
import sqlite3
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from heads.data.labels import Labelled
from heads.data.reading.label_formats import read_labels
from heads.data.reading.mapping import ClassMapping, read_mapping
from heads.errors import LabelError

DEPLOYMENTS = ("deploymentID", "locationID", "locationName", "latitude", "longitude")
MEDIA = ("mediaID", "deploymentID", "timestamp", "filePath", "filePublic", "fileName", "fileMediatype")
OBSERVATIONS = (
    *("observationID", "deploymentID", "mediaID", "eventID", "eventStart", "eventEnd", "observationLevel"),
    *("observationType", "cameraSetupType", "scientificName", "count", "classificationMethod", "classifiedBy"),
    "observationTags",
)
PROFILE = "https://raw.githubusercontent.com/tdwg/camtrap-dp/{}/camtrap-dp-profile.json"


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def shown(found: Labelled) -> dict[str, set[str]]:
    labels = found.labels
    return {
        clip_id: {name for name, value in zip(labels.classes, row, strict=True) if value}
        for clip_id, row in zip(labels.ids, labels.values.tolist(), strict=True)
    }


def write_package(folder: Path, observations: Iterable[dict[str, str]], version: str = "1.0.2") -> Path:
    """Six clips of two deployments at one place, one at another, and an image behind a URL."""
    resources = [{"name": name, "path": f"{name}.csv"} for name in ("deployments", "media", "observations")]
    folder.mkdir(parents=True)
    profile = PROFILE.format(version)
    (folder / "datapackage.json").write_text(json.dumps({"profile": profile, "resources": resources}))
    write_csv(
        folder / "deployments.csv",
        DEPLOYMENTS,
        [("d1", "loc", "", 1.5, 2), ("d2", "loc", "", 1.5, 2), ("d3", "", "the ford", 3, 4)],
    )
    media = [
        (f"m{n}", f"d{1 + n % 3}", f"2024-05-01T10:0{n}:00Z", f"clips/{n}.mp4", "true", f"{n}.mp4", "video/mp4")
        for n in range(6)
    ]
    media.append(("m6", "d1", "2024-05-01T12:00:00+02:00", "https://x.org/6/file", "true", "IMG 6.jpg", "image/jpeg"))
    media.append(("m7", "d1", "2024-05-01T12:00:00Z", "clips/7.wav", "true", "", "audio/wav"))
    write_csv(folder / "media.csv", MEDIA, media)
    rows = [
        {"observationID": f"o{number}", "observationLevel": "media", "observationType": "animal"} | row
        for number, row in enumerate(observations)
    ]
    for row in rows:
        assert set(row) <= set(OBSERVATIONS)
        row.setdefault("deploymentID", f"d{1 + int(row['mediaID'][1]) % 3}" if "mediaID" in row else "d1")
    write_csv(folder / "observations.csv", OBSERVATIONS, [[row.get(name, "") for name in OBSERVATIONS] for row in rows])
    return folder


PACKAGE: tuple[dict[str, str], ...] = (
    {"mediaID": "m0", "scientificName": "Vulpes vulpes", "classificationMethod": "human"},
    {"mediaID": "m0", "scientificName": "Sus scrofa"},
    {"mediaID": "m1", "observationType": "blank"},
    {"mediaID": "m2", "observationType": "unknown"},
    {"mediaID": "m3", "observationType": "unclassified"},
    {"mediaID": "m4", "observationType": "blank", "cameraSetupType": "setup"},
    {"mediaID": "m5", "scientificName": "Sus scrofa", "classificationMethod": "machine"},
    {"mediaID": "m6", "observationType": "human", "scientificName": "Homo sapiens"},
)


def test_a_camtrap_dp_package_keeps_blank_unknown_and_unclassified_apart(tmp_path: Path) -> None:
    found = read_labels(write_package(tmp_path / "package", PACKAGE))
    assert shown(found) == {
        "clips/0.mp4": {"Vulpes vulpes", "Sus scrofa"},
        "clips/1.mp4": {"blank"},
        "IMG 6.jpg": {"human"},
    }
    [note] = found.notes
    assert note.startswith(
        "package: read as Camtrap DP 1.0.2: 3 clips with labels; sites by locationID and locationName"
    )
    for told in (
        *("1 sound file", "1 observation of camera setup or calibration", "1 observation by a machine"),
        *("1 unclassified observation", "1 clip that shows something unknown", "3 clips without a label"),
    ):
        assert told in note


def test_sites_of_a_package_are_places_and_not_deployments(tmp_path: Path) -> None:
    found = read_labels(write_package(tmp_path / "package", PACKAGE))
    assert found.sites == {
        "clips/0.mp4": "loc",
        "clips/1.mp4": "loc",
        "clips/2.mp4": "the ford",
        "clips/3.mp4": "loc",
        "clips/4.mp4": "loc",
        "clips/5.mp4": "the ford",
        "IMG 6.jpg": "loc",
    }
    assert found.labels.sites == ("loc", "loc", "loc")


def test_what_a_machine_said_is_a_label_only_if_it_is_asked_for(tmp_path: Path) -> None:
    said = {"mediaID": "m4", "scientificName": "Meles meles", "classifiedBy": "MegaDetector 5a"}
    package = write_package(tmp_path / "package", (*PACKAGE[:3], PACKAGE[6], said))
    assert "2 observations by a machine" in read_labels(package).notes[0]
    found = shown(read_labels(package, machine=True))
    assert (found["clips/5.mp4"], found["clips/4.mp4"]) == ({"Sus scrofa"}, {"Meles meles"})


def test_events_label_the_files_of_their_time_that_have_no_labels_of_their_own(tmp_path: Path) -> None:
    event = {"observationLevel": "event", "eventStart": "2024-05-01T11:59:00+02:00", "eventEnd": "2024-05-01T10:03:00Z"}
    rows = [
        {"mediaID": "m0", "scientificName": "Vulpes vulpes"},
        {"eventID": "e1", "scientificName": "Meles meles", **event},
        {"eventID": "e2", "deploymentID": "d2", "scientificName": "Sus scrofa", **event},
        {"mediaID": "m5", "eventID": "e3", "observationType": "unclassified", "deploymentID": "d3"},
        {"eventID": "e3", "deploymentID": "d3", "observationType": "blank", **event},
    ]
    assert shown(read_labels(write_package(tmp_path / "package", rows))) == {
        "clips/0.mp4": {"Vulpes vulpes"},
        "clips/3.mp4": {"Meles meles"},
        "clips/1.mp4": {"Sus scrofa"},
        "IMG 6.jpg": {"Meles meles"},
        "clips/5.mp4": {"blank"},
    }


def test_a_package_is_read_out_of_a_folder_a_descriptor_and_a_zip_alike(tmp_path: Path) -> None:
    folder = write_package(tmp_path / "package", PACKAGE)
    with zipfile.ZipFile(tmp_path / "package.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"season 1/{path.name}")
    expected = shown(read_labels(folder))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert shown(read_labels(folder / "datapackage.json")) == expected
    assert shown(read_labels(tmp_path / "package.zip")) == expected
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_blank_beside_an_animal_names_the_clip(tmp_path: Path) -> None:
    rows = [PACKAGE[0], {"mediaID": "m0", "observationType": "blank"}]
    with pytest.raises(LabelError, match=r"^package: 1 clip is labelled 'blank' and a species at once: 'clips/0.mp4'"):
        read_labels(write_package(tmp_path / "package", rows))


@pytest.mark.parametrize(
    ("row", "version", "said"),
    [
        (
            {"observationLevel": "burst", "mediaID": "m0"},
            "1.0.2",
            "observations.csv, line 2: 'observationLevel' is 'burst'",
        ),
        (
            {"observationLevel": "event", "eventStart": "yesterday", "eventEnd": "2024-05-01T10:03:00Z"},
            "1.0.2",
            "observations.csv, line 2: 'eventStart' is 'yesterday', expected a time",
        ),
        (PACKAGE[0], "0.6", "datapackage.json, 'profile': Camtrap DP 0.6"),
        ({"mediaID": "m3", "observationType": "unclassified"}, "1.0", "in which no clip has a label"),
    ],
)
def test_what_is_wrong_with_a_package_names_file_row_and_field(
    tmp_path: Path, row: dict[str, str], version: str, said: str
) -> None:
    with pytest.raises(LabelError) as raised:
        read_labels(write_package(tmp_path / "package", [row], version))
    assert said in str(raised.value)


def test_a_file_that_a_descriptor_names_outside_of_the_package_is_not_read(tmp_path: Path) -> None:
    folder = write_package(tmp_path / "package", PACKAGE)
    (folder / "media.csv").rename(tmp_path / "media.csv")
    text = (folder / "datapackage.json").read_text().replace('"media.csv"', '"../media.csv"')
    (folder / "datapackage.json").write_text(text)
    with pytest.raises(LabelError, match=r"there is no file '\.\./media\.csv' in it"):
        read_labels(folder)


def test_the_example_package_of_the_standard(real_data: Path) -> None:
    found = read_labels(real_data / "camtrap_dp_example")
    assert len(found.sites) == 423
    assert len(set(found.sites.values())) == 4
    assert "41 observations of camera setup or calibration, 22 observations by a machine" in found.notes[0]
    assert found.labels.values.sum(axis=0)[found.labels.classes.index("blank")] == 105
    assert {"Rattus norvegicus", "Vulpes vulpes", "vehicle"} <= set(found.labels.classes)


def coco(**changed: Any) -> dict[str, Any]:
    images = [
        {"id": "a", "file_name": "s1\\a.mp4", "location": 7, "seq_id": "q"},
        {"id": "b", "file_name": "s1/b.mp4", "location": 7},
        {"id": "c", "file_name": "s2/c.mp4", "location": 8, "corrupt": True},
        {"id": "d", "file_name": "s2/d.mp4", "location": 8},
    ]
    categories = [{"id": 0, "name": "empty"}, {"id": 1, "name": "red deer"}, {"id": 2, "name": "unidentified"}]
    pairs = [("a", 1), ("a", 2), ("b", 0), ("c", 0)]
    annotations = [{"id": str(row), "image_id": key, "category_id": name} for row, (key, name) in enumerate(pairs)]
    return {"info": {"version": "1"}, "images": images, "categories": categories, "annotations": annotations} | changed


def test_coco_camera_traps_has_locations_and_corrupt_files_that_are_not_blank(tmp_path: Path) -> None:
    path = tmp_path / "cct.json"
    path.write_text(json.dumps(coco()))
    found = read_labels(path)
    assert shown(found) == {"s1/a.mp4": {"red deer"}, "s1/b.mp4": {"blank"}}
    assert found.sites == {"s1/a.mp4": "7", "s1/b.mp4": "7", "s2/d.mp4": "8"}
    assert found.notes == (
        "cct.json: read as COCO Camera Traps: 2 clips with labels; left out: 1 corrupt file, 1 clip without a label",
    )


def test_coco_without_all_locations_has_no_sites(tmp_path: Path) -> None:
    content = coco()
    del content["images"][1]["location"]
    (tmp_path / "cct.json").write_text(json.dumps(content))
    found = read_labels(tmp_path / "cct.json")
    assert found.labels.sites is None
    assert "1 labelled clip has no site" in found.notes[0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"annotations": [{"image_id": "z", "category_id": 1}]}, "annotations[0]: 'image_id' is 'z', which is not in"),
        ({"annotations": [{"image_id": "a", "category_id": 9}]}, "annotations[0]: 'category_id' is 9, which is not in"),
        ({"images": [{"id": "a"}]}, "images[0]: 'file_name' is None, expected text or a number"),
        ({"images": ["a"]}, "images[0]: 'id' is None"),
        ({"annotations": []}, "in which no clip has a label"),
    ],
)
def test_what_is_wrong_with_coco_names_the_entry_and_the_field(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    (tmp_path / "cct.json").write_text(json.dumps(coco(**changed)))
    with pytest.raises(LabelError) as raised:
        read_labels(tmp_path / "cct.json")
    assert said in str(raised.value)


TIMELAPSE = ("RootFolder", "File", "RelativePath", "DateTime", "DeleteFlag", "Count0", "Flag0", "Species", "Notes")
TIMELAPSE_ROWS = (
    ("x", "a.avi", "s1\\day 1", "2024-05-01 10:00:00", "false", "1", "false", "Badger", "fine"),
    ("x", "a.avi", "s1\\day 1", "2024-05-01 10:00:00", "false", "2", "false", "Fox", ""),
    ("x", "b.avi", "s1", "2024-05-01 10:00:00", "false", "0", "false", "Empty", ""),
    ("x", "c.avi", "", "2024-05-01 10:00:00", "true", "0", "false", "Fox", ""),
    ("x", "d.avi", "", "2024-05-01 10:00:00", "false", "", "false", "", "nobody looked"),
    ("x", "e.avi", "", "2024-05-01 10:00:00", "false", "", "false", "Unknown", ""),
)
TIMELAPSE_SHOWN = {"s1/day 1/a.avi": {"Badger", "Fox"}, "s1/b.avi": {"blank"}}


def write_ddb(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]], types: dict[str, str]) -> Path:
    base = sqlite3.connect(path)
    base.execute(f"CREATE TABLE DataTable (Id INTEGER PRIMARY KEY, {', '.join(f'{name} TEXT' for name in columns)})")
    base.executemany(f"INSERT INTO DataTable ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", rows)
    base.execute("CREATE TABLE TemplateTable (Id INTEGER, ControlOrder INTEGER, Type TEXT, Label TEXT, DataLabel TEXT)")
    base.executemany(
        "INSERT INTO TemplateTable VALUES (1, 1, ?, ?, ?)", [(kind, name, name) for name, kind in types.items()]
    )
    base.commit()
    base.close()
    return path


def test_a_table_of_timelapse_takes_the_column_of_species_and_says_so(tmp_path: Path) -> None:
    found = read_labels(write_csv(tmp_path / "ImageData.csv", TIMELAPSE, TIMELAPSE_ROWS))
    assert shown(found) == TIMELAPSE_SHOWN
    assert found.notes == (
        "ImageData.csv: read as Timelapse's CSV, column 'Species': 2 clips with labels; left out: 1 file marked to "
        "be deleted, 1 clip that shows something unknown, 1 clip without a label",
    )


def test_a_database_of_timelapse_is_read_and_left_as_it_is(tmp_path: Path) -> None:
    types = {"File": "File", "RelativePath": "RelativePath", "Count0": "Counter", "Flag0": "Flag"}
    path = write_ddb(
        tmp_path / "TimelapseData.ddb",
        [name if name != "Species" else "Seen" for name in TIMELAPSE],
        TIMELAPSE_ROWS,
        {**types, "Seen": "FixedChoice", "Notes": "Note"},
    )
    before = path.read_bytes()
    found = read_labels(path)
    assert shown(found) == TIMELAPSE_SHOWN
    assert "read as Timelapse's database, column 'Seen'" in found.notes[0]
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["TimelapseData.ddb"]


def test_several_choices_of_one_file_in_a_database_are_several_species(tmp_path: Path) -> None:
    rows = [("a.avi", "", "Fox,Badger"), ("b.avi", "", "none")]
    path = write_ddb(tmp_path / "t.ddb", ("File", "RelativePath", "Seen"), rows, {"Seen": "MultiChoice"})
    assert shown(read_labels(path)) == {"a.avi": {"Fox", "Badger"}, "b.avi": {"blank"}}


def test_of_two_columns_of_species_none_is_guessed_and_a_mapping_says_which(tmp_path: Path) -> None:
    columns = ("File", "RelativePath", "Species1", "Species2")
    path = write_csv(tmp_path / "t.csv", columns, [("a.avi", "", "Fox", "Hare"), ("b.avi", "", "none", "")])
    with pytest.raises(LabelError, match=r"^t\.csv: it is not to be seen which .*'Species1', 'Species2' may all hold"):
        read_labels(path)
    mapping = write_csv(
        tmp_path / "mapping.csv",
        ("column", "theirs", "class"),
        [("Species1", "Fox", "fox"), ("Species2", "Hare", "hare"), ("Species1", "none", "blank")],
    )
    assert shown(read_labels(path, read_mapping(mapping))) == {"a.avi": {"fox", "hare"}, "b.avi": {"blank"}}


def test_a_record_table_of_camtrapr_has_stations_and_folders(tmp_path: Path) -> None:
    columns = ("", "Station", "Species", "DateTimeOriginal", "Directory", "FileName")
    rows = [
        (1, "S1", "PBE", "2009-04-10 05:07:00", "C:\\raw\\S1\\", "a.avi"),
        (2, "S1", "VTA", "2009-04-10 05:07:00", "C:\\raw\\S1", "a.avi"),
        (3, "S2", "blank", "2009-04-10 05:07:00", "C:\\raw\\S2", "a.avi"),
        (4, "S2", "unidentified", "2009-04-10 05:07:00", "C:\\raw\\S2", "b.avi"),
    ]
    found = read_labels(write_csv(tmp_path / "records.csv", ["n", *columns[1:]], rows))
    assert shown(found) == {"C:/raw/S1/a.avi": {"PBE", "VTA"}, "C:/raw/S2/a.avi": {"blank"}}
    assert found.labels.sites == ("S1", "S2")
    assert found.notes == (
        "records.csv: read as a record table of camtrapR: 2 clips with labels; left out: 1 clip that shows something "
        "unknown",
    )


WI = (
    *("project_id", "deployment_id", "image_id", "filename", "location", "is_blank", "identified_by", "wi_taxon_id"),
    *("class", "order", "family", "genus", "species", "common_name", "timestamp"),
)


def wi_row(deployment: str, name: str, by: str, taxon: str, common: str, is_blank: int = 0) -> tuple[object, ...]:
    order, family, genus, species = (taxon.split(";") + [""] * 4)[:4]
    place = f"gs://bucket/{deployment}/{name}"
    kind = "Mammalia" if taxon else ""
    return 1, deployment, name, name, place, is_blank, by, "u", kind, order, family, genus, species, common, ""


def test_a_bundle_of_wildlife_insights_in_a_folder_and_in_a_zip(tmp_path: Path) -> None:
    rows = [
        wi_row("d1", "a.mp4", "Ann", "Carnivora;Felidae;Panthera;onca", "Jaguar"),
        wi_row("d1", "a.mp4", "Ann", "Carnivora;Felidae", "Cat Family"),
        wi_row("d1", "b.mp4", "Ann", "", "Blank", 1),
        wi_row("d2", "b.mp4", "Ann", "Primates;Hominidae;Homo;sapiens", "Human"),
        wi_row("d2", "c.mp4", "Computer vision", "", "Blank", 1),
        wi_row("d2", "d.mp4", "Ann", "", "No CV Result"),
        wi_row("d2", "e.mp4", "Ann", "Carnivora;Felidae;Panthera;onca", "Jaguar", 1),
    ]
    folder = tmp_path / "wi"
    write_csv(folder / "images_2001.csv", WI, rows)
    deployments = ("project_id", "deployment_id", "placename", "longitude", "latitude")
    write_csv(folder / "deployments.csv", deployments, [(1, "d1", "ford", 1, 2), (1, "d2", "ford", 1, 2)])
    with zipfile.ZipFile(tmp_path / "wi.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    for path in (folder, tmp_path / "wi.zip"):
        found = read_labels(path)
        assert shown(found) == {
            "a.mp4": {"Panthera onca", "Felidae"},
            "d1/b.mp4": {"blank"},
            "d2/b.mp4": {"human"},
            "e.mp4": {"Panthera onca"},
        }
        assert set(found.labels.sites or ()) == {"ford"}
        assert found.notes == (
            f"{path.name}: read as a download of Wildlife Insights: 4 clips with labels; left out: 1 identification "
            "by computer vision, 1 image without a result, 2 clips without a label",
        )
    alone = read_labels(folder / "images_2001.csv")
    assert shown(alone).keys() == {"a.mp4", "d1/b.mp4", "d2/b.mp4", "e.mp4"}


def test_identifications_of_sequences_hold_for_all_of_their_images(tmp_path: Path) -> None:
    images = ("project_id", "deployment_id", "sequence_id", "image_id", "filename")
    rows = [(1, "d1", f"q{n // 2}", n, f"{n}.jpg") for n in range(5)]
    write_csv(tmp_path / "wi" / "images.csv", images, rows)
    sequences = ("sequence_id", "identified_by", "genus", "species", "common_name", "is_blank")
    said = [
        ("q0", "Ann", "Panthera", "onca", "Jaguar", 0),
        ("q1", "Ann", "", "", "Blank", 1),
        ("q2", "Ann", "", "", "", 1),
    ]
    write_csv(tmp_path / "wi" / "sequences.csv", sequences, said)
    assert shown(read_labels(tmp_path / "wi")) == {
        **{f"{n}.jpg": {"Panthera onca"} for n in (0, 1)},
        **{f"{n}.jpg": {"blank"} for n in (2, 3, 4)},
    }


def test_only_what_somebody_corrected_in_zamba_cloud_is_a_label(tmp_path: Path) -> None:
    columns = ("video_uuid", "original_filename", "top_1_label", "top_1_probability", "corrected_label")
    rows = [("u", "a.mp4", "bird", 0.9, "leopard"), ("v", "b.mp4", "bird", 0.9, ""), ("w", "c.mp4", "hog", 1, "blank")]
    found = read_labels(write_csv(tmp_path / "videos.csv", columns, rows))
    assert shown(found) == {"a.mp4": {"leopard"}, "c.mp4": {"blank"}}
    assert "1 video that nobody corrected" in found.notes[0]


def test_zambas_split_is_kept_beside_the_labels(tmp_path: Path) -> None:
    columns, rows = (
        ("filepath", "label", "split", "site"),
        [("a.mp4", "hog", "train", "s"), ("b.mp4", "blank", "val", "s")],
    )
    found = read_labels(write_csv(tmp_path / "labels.csv", columns, rows))
    assert found.notes == ()
    assert found.parts == {"a.mp4": "train", "b.mp4": "val"}
    assert found.for_clips({"a.mp4": "x/a.mp4"}).parts == {"x/a.mp4": "train", "b.mp4": "val"}
    twice = [("a.mp4", "hog", "train", "s"), ("a.mp4", "deer", "val", "s")]
    with pytest.raises(LabelError, match=r"line 3, clip 'a\.mp4': split 'val', but 'train' further up"):
        read_labels(write_csv(tmp_path / "twice.csv", columns, twice))


def mapped(tmp_path: Path, rows: Iterable[tuple[str, str]]) -> ClassMapping:
    return read_mapping(write_csv(tmp_path / "mapping.csv", ("theirs", "class"), rows))


@pytest.mark.parametrize("long", [True, False])
def test_a_mapping_renames_joins_splits_and_leaves_out(tmp_path: Path, long: bool) -> None:
    rows = [
        ("a", "Fox"),
        ("b", "Cape fox"),
        ("c", "fox & hare"),
        ("d", "Empty"),
        ("d2", "Empty"),
        ("d2", "bait"),
        ("e", "???"),
    ]
    names = ["Fox", "Cape fox", "fox & hare", "Empty", "bait", "???"]
    if long:
        path = write_csv(tmp_path / "labels.csv", ("filename", "label"), rows)
    else:
        clips = dict.fromkeys(clip for clip, _ in rows)
        path = write_csv(
            tmp_path / "labels.csv",
            ("filename", *names),
            [(clip, *(int((clip, name) in rows) for name in names)) for clip in clips],
        )
    mapping = mapped(
        tmp_path,
        [
            ("Fox", "fox"),
            ("Cape fox", "fox"),
            ("fox & hare", "fox; hare"),
            ("empty", "blank"),
            ("???", "?"),
            ("bait", ""),
        ],
    )
    found = read_labels(path, mapping)
    assert shown(found) == {"a": {"fox"}, "b": {"fox"}, "c": {"fox", "hare"}, "d": {"blank"}, "d2": {"blank"}}
    assert "which leaves out 1 clip" in " ".join(found.notes)


def test_a_name_that_a_mapping_lacks_and_a_name_of_two_meanings_are_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "labels.csv", ("filename", "label"), [("a", "Fox"), ("b", "Hare")])
    with pytest.raises(
        LabelError, match=r"^mapping\.csv: 1 names of labels\.csv are not in it, such as 'Hare'; add rows"
    ):
        read_labels(path, mapped(tmp_path, [("Fox", "fox")]))
    with pytest.raises(LabelError, match=r"^mapping\.csv, line 3: 'Fox' is 'hare', but 'fox' further up"):
        mapped(tmp_path, [("Fox", "fox"), ("Fox", "hare")])
    with pytest.raises(LabelError, match="fill in the column class"):
        read_labels(path, mapped(tmp_path, [("Fox", ""), ("Hare", "?")]))
