import errno
import os
import tempfile
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from indexed_clips import write_indexed_clip
from tiny_backbone import tiny_source

from featurize.commands.progress import estimate_facts, summary_facts
from featurize.errors import SourceError
from featurize.pipeline.discover import name_suffixes, survey
from featurize.pipeline.estimate import estimate_cost
from featurize.pipeline.extract import extract
from featurize.pipeline.plan import UNREACHED, make_plan
from featurize.pipeline.relink import relink
from featurize.pipeline.summary import Progress, Summary
from featurize.views.sampling import Sampling
from store import FeatureStore, Status
from store.errors import DuplicateClipError
from store.maintenance.compact import compact_clips, compact_features

SAMPLING = Sampling(fps=2)


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_clips_are_found_in_depth_whatever_their_names_look_like(tmp_path: Path) -> None:
    names = ["b.MP4", "a/x y.avi", "a/Taï/c.Asf", "d.webm", "e.jpg", "f.MTS"]
    for name in [*names, "notes.txt", ".hidden.mp4", ".trash/g.mp4", "._b.MP4"]:
        touch(tmp_path / name)
    assert [clip.clip_id for clip in survey([tmp_path]).clips] == sorted(names)


def test_names_are_composed(tmp_path: Path) -> None:
    touch(tmp_path / unicodedata.normalize("NFD", "Taï/é.mp4"))
    assert survey([tmp_path]).clips[0].clip_id == unicodedata.normalize("NFC", "Taï/é.mp4")


def test_files_whose_names_differ_only_in_how_letters_are_composed_are_two_clips(tmp_path: Path) -> None:
    names = ["Taï/é.mp4", "b.mp4", "a\\c.mp4", "a/c.mp4"]
    paths = [tmp_path / unicodedata.normalize("NFC", name) for name in names]
    paths += [tmp_path / unicodedata.normalize("NFD", names[0])]
    for path in paths:
        touch(path)
    if len(list(tmp_path.iterdir())) < 5:
        pytest.skip("the file system takes both spellings for one")
    clips = {clip.clip_id: clip.path for clip in survey([tmp_path]).clips}
    assert clips == {
        "Taï/é.mp4": paths[0],
        "b.mp4": paths[1],
        "a%5Cc.mp4": paths[2],
        "a/c.mp4": paths[3],
        "Tai%CC%88/e%CC%81.mp4": paths[4],
    }
    paths[0].unlink()
    assert "Taï/é.mp4" in {clip.clip_id for clip in survey([tmp_path]).clips}


def test_a_single_file_is_named_by_its_file_name(tmp_path: Path) -> None:
    assert [clip.clip_id for clip in survey([touch(tmp_path / "a" / "b.mp4")]).clips] == ["b.mp4"]


def test_the_same_id_from_two_folders_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "one" / "a.mp4"), touch(tmp_path / "two" / "a.mp4")
    with pytest.raises(DuplicateClipError, match=r"would both be called 'a\.mp4'; name one folder"):
        survey([tmp_path / "one", tmp_path / "two"])


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "b.mp4")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert [clip.clip_id for clip in survey([tmp_path]).clips] == ["a/b.mp4"]


def ids_below(*roots: Path, stored: Sequence[str] = ()) -> list[str]:
    return [clip.clip_id for clip in survey(roots, lambda: stored).clips]


@pytest.mark.parametrize("name", ["00_first", "zz_last"])
def test_a_link_to_a_folder_that_is_walked_anyway_adds_nothing(tmp_path: Path, name: str) -> None:
    touch(tmp_path / "in" / "site1" / "cam1" / "a.mp4"), touch(tmp_path / "in" / "site1" / "b.mp4")
    for target in ("site1/cam1", "site1", "."):
        link = tmp_path / "in" / name / "deeper" / target.replace("/", "_").replace(".", "self")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(tmp_path / "in" / target)
    assert ids_below(tmp_path / "in") == ["site1/b.mp4", "site1/cam1/a.mp4"]


def test_a_link_from_one_root_into_another_adds_nothing(tmp_path: Path) -> None:
    touch(tmp_path / "one" / "a.mp4"), touch(tmp_path / "two" / "b" / "c.mp4")
    (tmp_path / "one" / "link").symlink_to(tmp_path / "two" / "b")
    assert ids_below(tmp_path / "one", tmp_path / "two") == ["a.mp4", "b/c.mp4"]
    assert ids_below(tmp_path / "one") == ["a.mp4", "link/c.mp4"]
    assert ids_below(tmp_path / "one", tmp_path / "one" / "link") == ["a.mp4", "c.mp4"]


def test_links_to_files_are_clips_of_their_own(tmp_path: Path) -> None:
    touch(tmp_path / "in" / "a.mp4"), touch(tmp_path / "out" / "b.mp4")
    (tmp_path / "in" / "0.mp4").symlink_to(tmp_path / "in" / "a.mp4")
    (tmp_path / "in" / "z.mp4").symlink_to(tmp_path / "out" / "b.mp4")
    assert ids_below(tmp_path / "in") == ["0.mp4", "a.mp4", "z.mp4"]


def test_folders_outside_keep_the_ids_that_the_store_has_of_their_clips(tmp_path: Path) -> None:
    root, out = tmp_path / "in", tmp_path / "out"
    touch(root / "r.mp4"), touch(out / "o.mp4"), touch(out / "sub" / "s.mp4"), touch(tmp_path / "far" / "f.mp4")
    (out / "inner").symlink_to(tmp_path / "far")
    (root / "m").symlink_to(out / "sub")
    before = ids_below(root)
    assert before == ["m/s.mp4", "r.mp4"]
    (root / "a").symlink_to(out)
    further = ids_below(root, stored=before)
    assert further == ["a/inner/f.mp4", "a/o.mp4", "m/s.mp4", "r.mp4"]
    for name in ("0", "b", "z"):
        (root / name).symlink_to(out)
        (root / f"{name} again").symlink_to(root / name)
    assert ids_below(root, stored=further) == further


def reachable(folder: Path) -> set[Path]:
    """The real folders to which one gets from `folder` by subfolders and links."""
    found, waiting = set(), [folder.resolve()]
    while waiting:
        here = waiting.pop()
        if here not in found:
            found.add(here)
            waiting += [path.resolve() for path in here.iterdir() if path.is_dir()]
    return found


NAMES = st.lists(st.sampled_from("amz"), min_size=1, max_size=3).map("/".join)
PLACES = st.tuples(st.sampled_from(["in", "out", "far"]), NAMES)
LINKS = st.lists(st.tuples(PLACES, PLACES), max_size=5)


@given(folders=st.lists(PLACES, min_size=1, max_size=8), links=LINKS, later=LINKS)
def test_whatever_links_there_are_each_file_is_found_once_under_a_lasting_id(
    folders: list[tuple[str, str]], links: list[tuple[tuple[str, str], tuple[str, str]]], later: list[Any]
) -> None:
    """A clip in each folder; links from any folder to any other one, inside or outside, up or down."""
    with tempfile.TemporaryDirectory() as name:
        tmp = Path(name)
        files = [touch(tmp / "in" / "r.mp4"), *(touch(tmp.joinpath(*folder, "c.mp4")) for folder in folders)]

        def make(pairs: list[tuple[tuple[str, str], tuple[str, str]]]) -> None:
            for number, (place, target) in enumerate(pairs):
                link = tmp.joinpath(*place).parent / f"{place[1][-1]}{number}{len(pairs)}"
                if link.parent.is_dir() and tmp.joinpath(*target).is_dir() and not link.is_symlink():
                    link.symlink_to(tmp.joinpath(*target))

        make(links)
        first = {clip.clip_id: clip.path.resolve() for clip in survey([tmp / "in"]).clips}
        real = {path.relative_to(tmp / "in").as_posix() for path in files if path.is_relative_to(tmp / "in")}
        assert real <= set(first)
        followed = {folder / "c.mp4" for folder in reachable(tmp / "in") if (folder / "c.mp4").exists()}
        assert followed <= set(first.values())
        assert len(set(first.values())) == len(first)
        make(later)
        second = {clip.clip_id: clip.path.resolve() for clip in survey([tmp / "in"], lambda: sorted(first)).clips}
        assert second.items() >= first.items()
        assert len(set(second.values())) == len(second)


def test_nothing_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no such file or folder"):
        survey([tmp_path / "gone"])
    touch(tmp_path / "notes.txt")
    with pytest.raises(SourceError, match=r"no clip found there, expected files that end in .*\.avi"):
        survey([tmp_path])


def test_files_that_are_passed_over_are_counted_by_suffix(tmp_path: Path) -> None:
    names = ["a.mp4", "b.TXT", "sub/c.txt", "sub/d.ts", "README", ".hidden.txt", ".trash/e.txt"]
    for name in names:
        touch(tmp_path / name)
    (tmp_path / "link").symlink_to(tmp_path / "sub")
    assert survey([tmp_path]).passed_over == {".txt": 2, ".ts": 1, "": 1}
    (tmp_path / "a.mp4").unlink()
    with pytest.raises(SourceError, match=r"passed over: 2 \.txt, 1 without a suffix, 1 \.ts$"):
        survey([tmp_path])
    many = {f".{letter}": 2 for letter in "abcdefgh"} | {".y": 1, ".z": 1}
    assert name_suffixes(many) == "2 .a, 2 .b, 2 .c, 2 .d, 2 .e, 2 .f, 2 .g, 2 .h, 2 others"


def close_to_everyone(monkeypatch: pytest.MonkeyPatch, closed: Path) -> None:
    """Refuse to list the folder `closed`, as a system does to those who have no right to it."""
    listing = os.scandir

    def scandir(path: str | Path) -> object:
        if Path(path) == closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return listing(path)

    monkeypatch.setattr(os, "scandir", scandir)


def test_folders_that_cannot_be_listed_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "a" / "b.mp4"), touch(tmp_path / "closed" / "c.mp4")
    close_to_everyone(monkeypatch, tmp_path / "closed")
    found = survey([tmp_path])
    assert [clip.clip_id for clip in found.clips] == ["a/b.mp4"]
    unlisted = (str(tmp_path / "closed"), "the folder cannot be listed: Permission denied")
    assert found.unlisted == (unlisted,)
    plan = replace(make_plan(found.clips, [tiny_source()], SAMPLING, None), unlisted=found.unlisted)
    outcome = summary_facts(Summary.of(plan, Progress()), "store")
    assert outcome["unlisted"] == [dict(zip(("folder", "reason"), unlisted, strict=True))]
    assert estimate_facts(plan, estimate_cost(plan), None)["unlisted"] == 1


def test_roots_that_cannot_be_read_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="cannot be read \\(File name too long\\); restore access"):
        survey([tmp_path / ("x" * 300)])
    touch(tmp_path / "a.mp4")
    close_to_everyone(monkeypatch, tmp_path)
    with pytest.raises(SourceError, match="cannot be read \\(Permission denied\\); restore access"):
        survey([tmp_path])


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    for index in range(4):
        write_indexed_clip(tmp_path / "clips" / f"{index}.mp4", 4 + index, fps=2)
    (tmp_path / "clips" / "bad.mp4").write_bytes(b"")
    return tmp_path / "clips"


def run(clips: Path, root: Path, *names: str) -> list[str]:
    """Featurize and say which clips were done."""
    store = FeatureStore.open(root, create=True)
    plan = make_plan(survey([clips]).clips, [tiny_source(name) for name in names or ("tiny",)], SAMPLING, store)
    extract(plan, store, runtime="tensorflow")
    return [task.clip.clip_id for task in plan.tasks]


def test_only_what_is_missing_is_done(clips: Path, tmp_path: Path) -> None:
    everything = ["0.mp4", "1.mp4", "2.mp4", "3.mp4", "bad.mp4"]
    assert run(clips, tmp_path / "store") == everything
    assert run(clips, tmp_path / "store") == []
    assert run(clips, tmp_path / "store", "tiny", "other") == everything
    write_indexed_clip(clips / "9.mp4", 3, fps=2)
    assert run(clips, tmp_path / "store") == ["9.mp4"]


def test_failed_clips_are_retried_only_when_asked(clips: Path, tmp_path: Path) -> None:
    run(clips, tmp_path / "store")
    store = FeatureStore.open(tmp_path / "store")
    plan = make_plan(survey([clips]).clips, [tiny_source()], SAMPLING, store)
    assert (len(plan.tasks), plan.failed_before) == (0, 1)
    again = make_plan(survey([clips]).clips, [tiny_source()], SAMPLING, store, retry_failed=True)
    assert [task.clip.clip_id for task in again.tasks] == ["bad.mp4"]


def test_partial_clips_are_retried_only_when_asked(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("featurize.decoding.video._why_broken", lambda *_: "the decoder was made to break")
        run(clips, tmp_path / "store")
    store = FeatureStore.open(tmp_path / "store")
    plan = make_plan(survey([clips]).clips, [tiny_source()], SAMPLING, store)
    assert (len(plan.tasks), plan.failed_before, plan.partial_before) == (0, 1, 4)
    again = make_plan(survey([clips]).clips, [tiny_source()], SAMPLING, store, retry_failed=True)
    assert extract(again, store, runtime="tensorflow").statuses[Status.OK] == 4
    assert set(store.clips()["status"]) == {"ok", "failed"}


def test_clips_beyond_the_limit_are_left_and_not_done(clips: Path, tmp_path: Path) -> None:
    run(clips, tmp_path / "store")
    for name in ("7.mp4", "8.mp4", "9.mp4"):
        write_indexed_clip(clips / name, 3, fps=2)
    store = FeatureStore.open(tmp_path / "store")
    plan = make_plan(survey([clips]).clips, [tiny_source()], SAMPLING, store).limited(1)
    assert (plan.clips, len(plan.tasks), plan.skipped, len(plan.left)) == (8, 1, 5, 2)
    outcome = summary_facts(extract(plan, store, runtime="tensorflow"), "store")
    assert (outcome["done"], outcome["skipped"], outcome["left"]) == (1, 5, 2)
    assert estimate_facts(plan, estimate_cost(plan), None)["left"] == 2
    rest = make_plan(survey([clips]).clips, [tiny_source()], SAMPLING, store)
    assert (len(rest.limited(5).tasks), len(rest.limited(5).left), len(rest.limited(0).left)) == (2, 0, 2)


def test_a_changed_clip_is_done_again_and_a_touched_one_is_not(clips: Path, tmp_path: Path) -> None:
    run(clips, tmp_path / "store")
    os.utime(clips / "0.mp4", ns=(1, 1))
    write_indexed_clip(clips / "1.mp4", 9, fps=2)
    assert run(clips, tmp_path / "store") == ["1.mp4"]
    reader = FeatureStore.open(tmp_path / "store").reader(tiny_source().key(SAMPLING))
    assert reader.lengths[reader.index_of(["1.mp4"])].tolist() == [9]


def test_a_touched_clip_is_read_once(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(clips, tmp_path / "store")
    before = FeatureStore.open(tmp_path / "store").clips()
    os.utime(clips / "0.mp4", ns=(7, 7))
    (clips / "1.mp4").touch()
    assert run(clips, tmp_path / "store") == []
    read: list[str] = []
    monkeypatch.setattr("featurize.pipeline.plan.fingerprint_or_blank", lambda clip: read.append(clip.clip_id) or "")
    assert run(clips, tmp_path / "store") == []
    assert read == []
    after = FeatureStore.open(tmp_path / "store").clips()
    assert after.loc["0.mp4", "mtime_ns"] == 7
    pd.testing.assert_frame_equal(after.drop(columns="mtime_ns"), before.drop(columns="mtime_ns"))


def test_a_known_clip_that_cannot_be_reached_keeps_what_the_store_holds_of_it(clips: Path, tmp_path: Path) -> None:
    drive = tmp_path / "drive"
    clips.rename(drive)
    clips.mkdir()
    for path in drive.iterdir():
        (clips / path.name).symlink_to(path)
    run(clips, tmp_path / "store")
    drive.rename(tmp_path / "unplugged")
    store = FeatureStore.open(tmp_path / "store")
    plan = make_plan(survey([clips]).clips, [tiny_source(), tiny_source("other")], SAMPLING, store, retry_failed=True)
    assert plan.unreached == tuple((f"{name}.mp4", UNREACHED) for name in (0, 1, 2, 3, "bad"))
    assert (plan.tasks, plan.skipped) == ((), 0)
    assert run(clips, tmp_path / "store") == []
    key = tiny_source().key(SAMPLING)
    compact_features(store, key), compact_clips(store)
    assert store.reader(key).lengths.tolist() == [4, 5, 6, 7, 0]
    assert (store.clips()["status"][:4] == Status.OK).all()
    (tmp_path / "unplugged").rename(drive)
    plan = make_plan(survey([clips]).clips, [tiny_source()], SAMPLING, store)
    assert (plan.tasks, plan.skipped, plan.unreached) == ((), 5, ())


def test_clips_that_vanish_during_a_run_fail_only_if_they_were_never_known(clips: Path, tmp_path: Path) -> None:
    run(clips, tmp_path / "store")
    write_indexed_clip(clips / "new.mp4", 3, fps=2)
    store, other = FeatureStore.open(tmp_path / "store"), tiny_source("other")
    plan = make_plan(survey([clips]).clips, [other], SAMPLING, store)
    clips.rename(tmp_path / "away")
    progress = extract(plan, store, runtime="tensorflow")
    assert progress.unreached == tuple((f"{name}.mp4", UNREACHED) for name in (0, 1, 2, 3, "bad"))
    assert [clip_id for clip_id, _ in progress.failures] == ["new.mp4"]
    outcome = summary_facts(progress, "store")
    assert (len(outcome["unreached"]), outcome["failed"]) == (5, 1)
    assert store.reader(other.key(SAMPLING)).ids == ["new.mp4"]
    assert (store.clips().loc[["0.mp4", "1.mp4", "2.mp4", "3.mp4"], "status"] == Status.OK).all()
    (tmp_path / "away").rename(clips)
    assert run(clips, tmp_path / "store", "other") == ["0.mp4", "1.mp4", "2.mp4", "3.mp4", "bad.mp4", "new.mp4"]
    assert (store.clips()["status"][["new.mp4"]] == Status.OK).all()


def test_a_moved_folder_is_recognised_by_content(clips: Path, tmp_path: Path) -> None:
    run(clips, tmp_path / "store", "tiny", "other")
    before = FeatureStore.open(tmp_path / "store").clips()
    (clips / "card 2").mkdir()
    for name in ("0.mp4", "1.mp4"):
        (clips / name).rename(clips / "card 2" / name)
    store = FeatureStore.open(tmp_path / "store")
    keys = [tiny_source(name).key(SAMPLING) for name in ("tiny", "other", "never run")]
    assert relink(survey([clips]).clips, keys, store) == 2
    assert run(clips, tmp_path / "store", "tiny", "other") == []
    reader, table = store.reader(keys[0]), store.clips()
    old, new = reader.index_of(["1.mp4", "card 2/1.mp4"])
    np.testing.assert_array_equal(reader.batch([old])[0], reader.batch([new])[0])
    assert table.loc["card 2/1.mp4", "path"].endswith("card 2/1.mp4")
    assert table.loc["card 2/1.mp4", "image_hash"] == before.loc["1.mp4", "image_hash"]
    assert relink(survey([clips]).clips, keys, store) == 0


def test_a_forecast_is_near_what_happens(clips: Path, tmp_path: Path) -> None:
    plan = make_plan(survey([clips]).clips, [tiny_source()], SAMPLING, None)
    expected = estimate_cost(plan)
    run(clips, tmp_path / "store")
    store = FeatureStore.open(tmp_path / "store")
    frames = int(np.sum(store.reader(tiny_source().key(SAMPLING)).lengths))
    assert frames == 4 + 5 + 6 + 7
    assert expected.frames == pytest.approx(frames, rel=0.3)
    assert expected.disk_bytes == pytest.approx(frames * 10 * 2, rel=0.3)
