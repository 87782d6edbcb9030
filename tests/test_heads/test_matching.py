"""Ids of tables that are written elsewhere, and the clips that they mean."""

from collections.abc import Callable
from pathlib import Path

import pytest

from heads.data.matching import match_clips, parse_id_map, require_fitting, unknown_clips
from heads.data.reading.sites import labels_and_sites
from heads.errors import LabelError, TrainError
from store.errors import UnknownClipError

CLIPS = ("site 01/IMG_0001.AVI", "site 01/IMG_0002.mp4", "site 02/IMG_0001.mov", "site 02/sub/IMG_0003.mp4")


def matched(ids: list[str], clips: tuple[str, ...] = CLIPS, *rules: str) -> dict[str, str]:
    return dict(match_clips(ids, clips, "t.csv", parse_id_map(rules)).clip_of)


@pytest.mark.parametrize(
    ("spell", "difference"),
    [
        (lambda clip: f"/mnt/cards/2024/{clip}", "(always: '/mnt/cards/2024/' before the path, which the clips"),
        (lambda clip: f"D:/cards/{clip}", "'d:/cards/' before the path"),
        (lambda clip: f"clips_2024//{clip}", "'clips_2024//' before the path"),
        (lambda clip: f"../{clip}", "'../' before the path"),
        (lambda clip: clip.replace("/", "//"), "white space, './' or '//'"),
        (lambda clip: clip.replace("/", "/./"), "white space, './' or '//'"),
        (lambda clip: f" {clip}\u00a0", "white space, './' or '//'"),
        (lambda clip: clip.replace(" ", "\u00a0"), "white space, './' or '//'"),
        (str.lower, "upper and lower case"),
        (str.upper, "upper and lower case"),
        (lambda clip: clip.rpartition(".")[0], ""),
        (lambda clip: f"{clip.rpartition('.')[0]}.jpg", ""),
        (lambda clip: f"cam_{clip}", "(always: 'cam_' before the path, which the clips' ids lack)"),
        (lambda clip: f"{clip}.done", "(always: '.done' at the end, which the clips' ids lack)"),
        (lambda clip: clip.removeprefix("site "), "(always: 'site ' before the path is missing)"),
        (lambda clip: f"/MNT/Cards/{clip.rpartition('.')[0]}.JPG", ""),
    ],
)
def test_ids_that_differ_in_one_way_mean_the_clips_that_a_person_would_say(
    spell: Callable[[str], str], difference: str
) -> None:
    spelt = {spell(clip): clip for clip in CLIPS}
    found = match_clips(spelt, CLIPS, "labels.csv")
    assert found.clip_of == spelt
    [note] = found.notes
    assert note.startswith("labels.csv: 4 of 4 clip ids are not spelt as the clips are and were matched: '")
    assert f"is taken for '{CLIPS[0]}'" in note
    assert difference.lower() in note.lower()


def test_ids_that_are_clips_as_they_stand_are_not_touched_or_noted() -> None:
    clips = (" lead/a.mp4", "lead/a.mp4", "tra il /b.mp4", "new/IMG.MP4", "new/img.mp4", "a//b.mp4")
    found = match_clips(clips, clips, "labels.csv")
    assert found.clip_of == {clip: clip for clip in clips}
    assert (found.notes, found.unknown) == ((), ())


def test_a_stripped_id_means_the_clip_whose_folder_ends_with_a_space() -> None:
    assert matched(["lead/a.mp4", "tra il/b.mp4"], (" lead/a.mp4", "tra il /b.mp4")) == {
        "lead/a.mp4": " lead/a.mp4",
        "tra il/b.mp4": "tra il /b.mp4",
    }
    assert matched(["LEAD/a.mp4"], (" lead/a.mp4", "lead/a.mp4")) == {}


def test_bare_file_names_mean_a_clip_where_one_alone_is_called_so() -> None:
    assert matched(["IMG_0002.mp4", "IMG_0003.MP4", "IMG_0001.AVI"]) == {
        "IMG_0002.mp4": CLIPS[1],
        "IMG_0003.MP4": CLIPS[3],
        "IMG_0001.AVI": CLIPS[0],
    }
    assert matched(["a.mp4"], ("s1/a.mp4", "s2/a.mp4")) == {}


def test_another_site_s_clip_of_the_same_file_name_is_never_meant() -> None:
    assert matched(["site 03/IMG_0002.mp4"]) == {}
    assert (
        matched(["site 03/IMG_0001.mp4", "site 03/IMG_0002.mp4"], ("site 01/IMG_0001.mp4", "site 01/IMG_0002.mp4"))
        == {}
    )
    clips = ("IMG_1.mp4", "a/IMG_2.mp4")
    assert matched(["a/IMG_2.mp4", "b/IMG_1.mp4"], clips) == {"a/IMG_2.mp4": "a/IMG_2.mp4"}
    assert matched(["/cards/a/IMG_2.mp4", "/cards/b/IMG_1.mp4"], clips) == {"/cards/a/IMG_2.mp4": "a/IMG_2.mp4"}


def test_photos_that_stand_beside_videos_of_other_endings_are_not_taken_for_them() -> None:
    assert matched(["s/1.jpg", "s/2.jpg"], ("s/1.avi", "s/2.avi")) == {"s/1.jpg": "s/1.avi", "s/2.jpg": "s/2.avi"}
    assert matched(["s/1.jpg", "s/2.mp4"], ("s/1.avi", "s/2.avi")) == {}
    assert matched(["s/1.jpg", "s/1.avi"], ("s/1.avi", "s/2.avi")) == {"s/1.avi": "s/1.avi"}


def test_a_folder_more_in_front_is_told_from_a_folder_of_the_same_name_within() -> None:
    clips = ("a.mp4", "sub/a.mp4", "b.mp4")
    ids = [f"/cards/{clip}" for clip in clips]
    assert matched(ids, clips) == dict(zip(ids, clips, strict=True))


def test_another_folder_in_front_on_both_sides_counts_where_it_is_always_the_same() -> None:
    clips = ("old/s1/a.mp4", "old/s2/a.mp4")
    assert matched(["new/s1/a.mp4", "new/s2/a.mp4"], clips) == {"new/s1/a.mp4": clips[0], "new/s2/a.mp4": clips[1]}
    assert matched(["new/s1/a.mp4", "newer/s2/a.mp4"], clips) == {}


def test_two_ids_never_share_a_clip_by_the_ends_of_their_paths() -> None:
    assert matched(["/card 1/s/a.mp4", "/card 2/s/a.mp4"], ("s/a.mp4", "s/b.mp4")) == {}
    assert matched(["s/a.mp4", "/card 2/s/a.mp4"], ("s/a.mp4", "s/b.mp4")) == {"s/a.mp4": "s/a.mp4"}


def test_some_ids_of_a_table_may_be_spelt_otherwise() -> None:
    found = match_clips([CLIPS[0], f"/mnt/{CLIPS[1]}", "none.mp4"], CLIPS, "labels.csv")
    assert found.clip_of == {CLIPS[0]: CLIPS[0], f"/mnt/{CLIPS[1]}": CLIPS[1]}
    assert found.unknown == ("none.mp4",)
    assert found.notes[0].startswith("labels.csv: 1 of 3 clip ids are not spelt")


@pytest.mark.parametrize(
    ("rule", "clip_id", "becomes"),
    [
        ("D:\\cards\\=", "D:/cards/s1/a.mp4", "s1/a.mp4"),
        ("=", "a", None),
        ("siteA/=siteB/", "siteA/a.mp4", "siteB/a.mp4"),
        ("*.avi=*.mp4", "s/a.avi", "s/a.mp4"),
        ("x_*_y.avi=s/*.mp4", "x_7_y.avi", "s/7.mp4"),
        ("a*=b", "a", None),
        ("a", "a", None),
        ("*a*=**", "a", None),
    ],
)
def test_a_rule_says_how_ids_differ(rule: str, clip_id: str, becomes: str | None) -> None:
    if becomes is None:
        with pytest.raises(LabelError, match=r"^--id-map '.*': expected FROM=TO, such as"):
            parse_id_map([rule])
        return
    assert matched([clip_id], (becomes, "other.mp4"), rule) == {clip_id: becomes}


def test_a_rule_that_fits_nothing_shows_an_id() -> None:
    with pytest.raises(LabelError, match=r"--id-map 'x=y': it fits none of the 1 ids of t.csv, such as 'a.mp4'"):
        require_fitting(parse_id_map(["x=y"]), ["a.mp4"], "t.csv")


def tables(folder: Path, labels: list[str], sites: list[str]) -> tuple[Path, Path]:
    folder.mkdir(exist_ok=True)
    rows = [f'"{clip_id}",{place % 2}' for place, clip_id in enumerate(labels)]
    (folder / "labels.csv").write_text("\n".join(["filename,hog", *rows]) + "\n")
    rows = [f'"{clip_id}",s{place % 2}' for place, clip_id in enumerate(sites)]
    (folder / "sites.csv").write_text("\n".join(["clip_id,site", *rows]) + "\n")
    return folder / "labels.csv", folder / "sites.csv"


def test_labels_are_checked_before_sites_and_an_id_of_each_side_is_shown(tmp_path: Path) -> None:
    labels, sites = tables(tmp_path, ["x1/IMG_0001.AVI", "x2/IMG_0001.mov"], list(CLIPS))
    with pytest.raises(
        UnknownClipError,
        match=r"^labels.csv: 2 clip ids are unknown: 'x1/IMG_0001.AVI', .* \('x1/IMG_0001.AVI' beside "
        r"'site 01/IMG_0001.AVI' of the store\); .*--id-map FROM=TO",
    ):
        labels_and_sites(labels, CLIPS, sites=sites, site_pattern=None, allow_missing=False)
    with pytest.raises(TrainError, match=r"none of the labelled clips is in the store, .* beside"):
        labels_and_sites(labels, CLIPS, sites=sites, site_pattern=None, allow_missing=True)
    rules = parse_id_map(["x1/=site 01/", "x2/=site 02/"])
    found = labels_and_sites(labels, CLIPS, sites=sites, site_pattern=None, id_map=rules, allow_missing=False)
    assert (found.labels.ids, found.labels.sites) == ((CLIPS[0], CLIPS[2]), ("s0", "s0"))


@pytest.mark.parametrize(
    ("unknown", "clips", "shown"),
    [
        (["184748facd.mp4"], ["site_00/16d08b8fec.mp4", "site_00/0a93be1d7c.mp4"], None),
        (["clips/a.mp4"], ["clips/z.mp4"], None),
        (
            ["184748facd.mp4", "16D08B8FEC.avi"],
            ["site_00/16d08b8fec.mp4"],
            ("16D08B8FEC.avi", "site_00/16d08b8fec.mp4"),
        ),
        (["x/IMG_0001.avi"], ["s1/IMG-0001.avi", "s2/other.avi"], ("x/IMG_0001.avi", "s1/IMG-0001.avi")),
        (["s2/IMG_1.avi"], ["s1/deep/IMG_1.avi", "s2/b/IMG_1.avi"], ("s2/IMG_1.avi", "s2/b/IMG_1.avi")),
        (["a.mp4"], [], None),
    ],
)
def test_an_unknown_id_stands_beside_a_clip_only_if_they_look_alike(
    unknown: list[str], clips: list[str], shown: tuple[str, str] | None
) -> None:
    said = str(unknown_clips("t.csv", unknown, clips, "name others", "the store"))
    assert (" beside " in said) is (shown is not None)
    if shown is not None:
        assert f"('{shown[0]}' beside '{shown[1]}' of the store)" in said


def test_labels_and_sites_are_matched_each_in_its_own_way(tmp_path: Path) -> None:
    labels, sites = tables(tmp_path, [f"/a/b/{clip}" for clip in CLIPS], [clip.upper() for clip in CLIPS])
    found = labels_and_sites(labels, CLIPS, sites=sites, site_pattern=None, allow_missing=False)
    assert (found.labels.ids, found.labels.sites) == (CLIPS, ("s0", "s1", "s0", "s1"))
    assert [note.partition(":")[0] for note in found.notes] == ["labels.csv", "sites.csv"]


def test_sites_that_lack_a_labelled_clip_show_one_of_their_own(tmp_path: Path) -> None:
    labels, sites = tables(tmp_path, list(CLIPS), list(CLIPS[1:]))
    with pytest.raises(UnknownClipError, match=r"^sites.csv: 1 clip id is unknown: 'site 01/IMG_0001.AVI' .* of sites"):
        labels_and_sites(labels, CLIPS, sites=sites, site_pattern=None, allow_missing=False)


def test_missing_clips_that_are_allowed_need_no_site(tmp_path: Path) -> None:
    labels, sites = tables(tmp_path, [*CLIPS, "gone/x.mp4"], list(CLIPS))
    found = labels_and_sites(labels, CLIPS, sites=sites, site_pattern=None, allow_missing=True)
    assert found.labels.ids == CLIPS
    assert found.notes == ("labels.csv: 1 labelled clip that the store does not hold is left out: 'gone/x.mp4'",)


def test_two_rows_of_one_clip_add_up_in_a_long_table_and_are_refused_in_a_wide_one(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("filename,label,site\na.mp4,hog,s\nA.MP4,lion,s\nb.mp4 ,lion,t\n")
    labels = labels_and_sites(path, ["a.mp4", "b.mp4"], sites=None, site_pattern=None).labels
    assert (labels.ids, labels.sites) == (("a.mp4", "b.mp4"), ("s", "t"))
    assert labels.values.tolist() == [[1, 1], [0, 1]]
    path.write_text("filename,label,site\na.mp4,hog,s\nA.MP4,lion,t\n")
    with pytest.raises(LabelError, match=r"'a.mp4' and 'A.MP4' mean one clip, 'a.mp4', but have the sites 's' and 't'"):
        labels_and_sites(path, ["a.mp4"], sites=None, site_pattern=None)
    path.write_text("filename,hog\na.mp4,1\nA.MP4,0\n")
    with pytest.raises(LabelError, match=r"'a.mp4' and 'A.MP4' mean one clip, 'a.mp4'; keep one of the rows"):
        labels_and_sites(path, ["a.mp4"], sites=None, site_pattern=None)


def test_a_rule_may_be_of_one_table_alone_and_must_fit_some_id(tmp_path: Path) -> None:
    labels, sites = tables(tmp_path, list(CLIPS), [clip.replace("site ", "S") for clip in CLIPS])
    rules = parse_id_map(["S*=site *"])
    found = labels_and_sites(labels, CLIPS, sites=sites, site_pattern=None, id_map=rules, allow_missing=False)
    assert found.labels.sites == ("s0", "s1", "s0", "s1")
    with pytest.raises(LabelError, match=r"'x=y': it fits none of the 8 ids of labels.csv and sites.csv, such as"):
        labels_and_sites(labels, CLIPS, sites=sites, site_pattern=None, id_map=parse_id_map(["x=y"]))
