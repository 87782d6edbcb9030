"""featurize as a notebook or a script calls it."""

import io
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
from indexed_clips import write_indexed_clip
from rich.console import Console
from tiny_backbone import tiny_backbone
from typer.testing import CliRunner

import featurize
from featurize.backbones.registry import BACKBONES
from featurize.backbones.spec import FileWeights
from featurize.cli import app
from featurize.commands.run import featurize_folder
from featurize.demo.make import plan_demo
from featurize.demo.scenes import draw_clip, write_video
from featurize.errors import FeaturizeWarning, SettingsError, SourceError
from featurize.pipeline.plan import Task
from featurize.pipeline.progress_bar import progress_bar
from featurize.pipeline.request import Request
from store import FeatureStore, Status


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for number, planned in enumerate(plan_demo()[:4]):
        write_video(folder / f"{number}.mp4", draw_clip(planned.scene, frames=12, width=96, height=72), fps=4)
    return folder


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "tiny", tiny_backbone())  # type: ignore[arg-type]


def contents(root: Path) -> dict[str, list[tuple[str, bytes]]]:
    store = FeatureStore.open(root)
    readers = {key.folder: store.reader(key) for key in store.keys()}
    return {
        folder: [(clip_id, reader.row(row).features.tobytes()) for row, clip_id in enumerate(reader.ids)]
        for folder, reader in readers.items()
    }


def test_rules_run_without_a_network_library(clips: Path, tmp_path: Path) -> None:
    call = f"featurize.run({str(clips)!r}, {str(tmp_path / 'store')!r}, backbones='phash', views=['whole', 'motion'])"
    check = f"import sys, featurize; before = 'numpy' in sys.modules; done = {call}; "
    check += "print(before, done.done, done.failures, sorted({'tensorflow', 'keras', 'openvino'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert shown.stdout == "False 4 () []\n"
    assert [key.source for key in FeatureStore.open(tmp_path / "store").keys()] == ["phash+motion", "phash"]


@pytest.mark.usefixtures("tiny")
def test_a_run_gives_what_the_command_gives_and_does_nothing_twice(clips: Path, tmp_path: Path) -> None:
    store = FeatureStore.open(tmp_path / "store", create=True)
    names = sorted(clips.iterdir())
    settings = {"backbones": ["tiny", "phash"], "views": ["whole", "motion"], "fps": 2, "runtime": "tensorflow"}
    done = featurize.run(names, store, **settings, progress=False)  # type: ignore[arg-type]
    assert (done.clips, done.done, done.skipped, done.failures) == (4, 4, 0, ())
    assert done.statuses[Status.OK] == 4
    assert done.frames == 4 * 6
    again = featurize.run([str(clips)], tmp_path / "store", **settings)  # type: ignore[arg-type]
    assert (again.done, again.skipped, again.frames) == (0, 4, 0)
    request = Request(
        videos=[clips],
        backbones=["tiny", "phash"],
        views=["whole", "motion"],
        sampling=featurize.Sampling(fps=2.0),
        runtime="tensorflow",
    )
    assert featurize_folder(request, tmp_path / "command", as_json=True) == 0
    assert len(contents(tmp_path / "store")) == 4
    assert contents(tmp_path / "store") == contents(tmp_path / "command")


@pytest.mark.usefixtures("tiny")
def test_a_plan_is_carried_out_share_by_share(clips: Path, tmp_path: Path) -> None:
    plan = featurize.plan(clips, tmp_path / "store", backbones="tiny", frames=3, choose="motion")
    assert (plan.clips, len(plan.tasks), featurize.estimate_cost(plan).frames) == (4, 4, 12)
    store = FeatureStore.open(tmp_path / "store")
    parts = [featurize.extract(plan.share(index, 3), store, runtime="tensorflow") for index in range(3)]
    assert featurize.Summary.merged(parts).done == 4
    assert not featurize.plan(clips, store, backbones="tiny", frames=3, choose="motion").tasks


def test_untrained_networks_are_warned_of(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = tiny_backbone(weights=FileWeights(expected="a file"))
    monkeypatch.setitem(BACKBONES, "tiny", given)  # type: ignore[arg-type]
    with pytest.warns(FeaturizeWarning, match="tiny untrained .*: the features mean nothing"):
        featurize.plan(clips, tmp_path / "store", backbones="tiny", weights={"tiny": "random"})
    with pytest.warns(FeaturizeWarning, match="tiny untrained"):
        done = featurize.run(clips, tmp_path / "store", backbones="tiny", weights="random", limit=1, progress=False)
    assert (done.done, done.left) == (1, 3)
    assert FeatureStore.open(tmp_path / "store").keys()[0].weights_sha256 == "random-0"


def test_what_is_not_in_the_store_is_warned_of_and_stands_in_the_summary(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    write_indexed_clip(tmp_path / "clips" / "a.mp4", 3, fps=2)
    (tmp_path / "clips" / "empty.mp4").touch()
    with pytest.warns(FeaturizeWarning, match=r"^1 clips failed \(`failures`\); the summary has the reasons$"):
        done = featurize.run(tmp_path / "clips", tmp_path / "store", backbones="phash", progress=False)
    assert done.failures == (("empty.mp4", "the file is empty (0 bytes)"),)
    assert (done.done, done.decoded) == (1, 2)


def test_moved_clips_are_recognised(tmp_path: Path) -> None:
    (tmp_path / "clips" / "card").mkdir(parents=True)
    path = write_indexed_clip(tmp_path / "clips" / "a.mp4", 3, fps=2)
    featurize.run(tmp_path / "clips", tmp_path / "store", backbones="phash")
    path.rename(tmp_path / "clips" / "card" / "a.mp4")
    done = featurize.run(tmp_path / "clips", tmp_path / "store", backbones="phash", relink=True)
    assert (done.done, done.skipped) == (0, 1)


@pytest.fixture
def moved(tmp_path: Path) -> Path:
    """A folder of clips that were featurized, under two settings, before they moved into a folder below it."""
    for name in ("a", "b", "c"):
        write_indexed_clip(tmp_path / "clips" / f"{name}.mp4", 3 + ord(name) % 3, fps=2)
    featurize.run(tmp_path / "clips", tmp_path / "store", backbones="phash", progress=False)
    with pytest.warns(FeaturizeWarning, match="already under other settings"):
        featurize.run(tmp_path / "clips", tmp_path / "store", backbones="phash", fps=1, progress=False)
    (tmp_path / "clips").rename(tmp_path / "card")
    (tmp_path / "clips").mkdir()
    (tmp_path / "card").rename(tmp_path / "clips" / "card")
    return tmp_path / "clips"


def test_clips_that_moved_are_not_computed_again_unasked(moved: Path, tmp_path: Path) -> None:
    said = r"^.*: 3 of the 3 clips that are new .* \('a.mp4' is 'card/a.mp4' now\).*--relink.*--no-relink"
    for look in (featurize.run, featurize.plan):
        with pytest.raises(SourceError, match=said):
            look(moved, tmp_path / "store", backbones="phash")
    store = FeatureStore.open(tmp_path / "store")
    assert [store.reader(key).ids for key in store.keys()] == [["a.mp4", "b.mp4", "c.mp4"]] * 2
    done = featurize.run(moved, tmp_path / "store", backbones="phash", relink=False, progress=False)
    assert (done.done, done.skipped) == (3, 0)


def test_another_card_does_not_take_the_place_of_the_first_one(tmp_path: Path) -> None:
    for number, card in enumerate(("card 1", "card 2", "card 3")):
        for clip in range(3):
            write_indexed_clip(tmp_path / card / f"IMG_000{clip}.mp4", 6 + clip + 4 * number, fps=2)
    store = tmp_path / "store"
    run = partial(featurize.run, store=store, backbones="phash", progress=False)
    assert run(tmp_path / "card 1").done == 3
    known = FeatureStore.open(store).clips()["fingerprint"].to_dict()
    said = r"3 clips have the names of other ones .*'IMG_0000.mp4' at .*card 2.* is not what was at .*card 1.*--replace"
    with pytest.raises(SourceError, match=said):
        run(tmp_path / "card 2")
    with pytest.raises(SourceError, match=said):
        featurize.plan(tmp_path / "card 2", store, backbones="phash")
    # The same place, where another card is now.
    shutil.rmtree(tmp_path / "card 1")
    shutil.copytree(tmp_path / "card 2", tmp_path / "card 1")
    with pytest.raises(SourceError, match="3 clips have the names of other ones"):
        run(tmp_path / "card 1")
    assert FeatureStore.open(store).clips()["fingerprint"].to_dict() == known
    assert run(tmp_path / "card 2", replace=True).done == 3
    assert not set(FeatureStore.open(store).clips()["fingerprint"]) & set(known.values())
    # One of three that was changed where it is; one that is elsewhere.
    shutil.copy(tmp_path / "card 3" / "IMG_0000.mp4", tmp_path / "card 2" / "IMG_0000.mp4")
    assert run(tmp_path / "card 2").done == 1
    shutil.copytree(tmp_path / "card 2", tmp_path / "elsewhere")
    shutil.copy(tmp_path / "card 3" / "IMG_0002.mp4", tmp_path / "elsewhere" / "IMG_0002.mp4")
    with pytest.raises(SourceError, match="1 clip has the name of another one"):
        run(tmp_path / "elsewhere")


def test_relinking_gives_the_new_names_to_all_that_is_stored(moved: Path, tmp_path: Path) -> None:
    done = featurize.run(moved, tmp_path / "store", backbones="phash", relink=True, progress=False)
    assert (done.done, done.skipped) == (0, 3)
    store = FeatureStore.open(tmp_path / "store")
    names = [f"{folder}{name}.mp4" for folder in ("", "card/") for name in "abc"]
    assert [store.reader(key).ids for key in store.keys()] == [names] * 2


def test_a_copy_among_many_new_clips_stops_nothing(tmp_path: Path) -> None:
    first = write_indexed_clip(tmp_path / "one" / "a.mp4", 3, fps=2)
    featurize.run(tmp_path / "one", tmp_path / "store", backbones="phash", progress=False)
    for number in range(11):
        write_indexed_clip(tmp_path / "two" / f"{number}.mp4", 4 + number, fps=2)
    (tmp_path / "two" / "copy.mp4").write_bytes(first.read_bytes())
    assert featurize.run(tmp_path / "two", tmp_path / "store", backbones="phash", progress=False).done == 12


def test_other_settings_of_a_source_that_is_held_are_warned_of(tmp_path: Path) -> None:
    write_indexed_clip(tmp_path / "clips" / "a.mp4", 5, fps=2)
    featurize.run(tmp_path / "clips", tmp_path / "store", backbones="phash", fps=1, progress=False)
    with pytest.warns(FeaturizeWarning, match=r"phash already under other settings.*fps=1 and frames=2.*--features"):
        featurize.run(tmp_path / "clips", tmp_path / "store", backbones="phash", frames=2, progress=False)
    featurize.run(tmp_path / "clips", tmp_path / "store", backbones="phash", fps=1, progress=False)


def test_a_store_is_gone_on_with_as_it_was_begun(tmp_path: Path) -> None:
    clips, store = tmp_path / "clips", tmp_path / "store"
    write_indexed_clip(clips / "a.mp4", 12, fps=4)
    command = [str(clips), "--store", str(store), "--backbone", "phash"]
    CliRunner().invoke(app, [*command, "--frames", "2", "--choose", "motion"], catch_exceptions=False)
    write_indexed_clip(clips / "b.mp4", 16, fps=4)
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert "frames as the store has them: --frames 2 --choose motion\n" in done.stderr
    (key,) = FeatureStore.open(store).keys()
    assert FeatureStore.open(store).reader(key).lengths.tolist() == [2, 2]
    assert featurize.run(clips, store, backbones="phash", progress=False).done == 0
    with pytest.warns(FeaturizeWarning, match="already under other settings"):
        featurize.run(clips, store, backbones="phash", fps=1, max_frames=9, progress=False)
    with pytest.raises(
        SettingsError,
        match=r"; say which is meant: (--frames 2 --choose motion or --fps 1 --max-frames 9|--fps 1 .* motion)$",
    ):
        featurize.run(clips, store, backbones="phash", progress=False)
    assert featurize.run(clips, tmp_path / "new", backbones="phash", progress=False).done == 2


def test_of_several_samplings_that_of_the_same_backbone_goes_on_and_sound_needs_none(tmp_path: Path) -> None:
    clips, store = tmp_path / "clips", tmp_path / "store"
    write_indexed_clip(clips / "a.mp4", 12, fps=4)
    featurize.run(clips, store, backbones="phash", frames=2, progress=False)
    featurize.run(clips, store, backbones="hashes", frames=3, progress=False)
    assert featurize.run(clips, store, backbones=["phash"], progress=False).done == 0
    assert featurize.run(clips, store, backbones="hashes", progress=False).done == 0
    featurize.run(clips, store, backbones="sound", progress=False)
    with pytest.raises(SettingsError, match="say which is meant"):
        featurize.run(clips, store, backbones="statistics", progress=False)
    with pytest.raises(SettingsError, match="say which is meant"):
        featurize.run(clips, store, backbones=["phash", "hashes"], progress=False)


def test_sound_beside_others_goes_on_as_they_do_and_alone_as_any_sound_that_is_held(tmp_path: Path) -> None:
    clips, store, heard = tmp_path / "clips", tmp_path / "store", tmp_path / "heard"
    write_indexed_clip(clips / "a.mp4", 12, fps=4)
    featurize.run(clips, store, backbones="phash", frames=2, progress=False)
    featurize.run(clips, store, backbones="hashes", frames=3, progress=False)
    featurize.run(clips, store, backbones="sound", progress=False)
    with pytest.warns(FeaturizeWarning, match="the store holds sound already under other settings"):
        planned = featurize.plan(clips, store, backbones=["phash", "sound"])
    assert [made(task) for task in planned.tasks] == [["sound"]]
    featurize.run(clips, heard, backbones="sound", frames=2, progress=False)
    with pytest.warns(FeaturizeWarning, match="the store holds sound already under other settings"):
        featurize.run(clips, heard, backbones="sound", frames=3, progress=False)
    assert not featurize.plan(clips, heard, backbones="sound").tasks


def made(task: Task) -> list[str]:
    """The backbones that a clip is given to."""
    return [source.backbone.name for source in task.sources]


def test_where_no_clip_is_found_no_store_is_made(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_indexed_clip(tmp_path / "clips" / "a.mp4", 3, fps=2)
    with pytest.raises(SourceError, match=r"empty': no clip found there, though the other folders .* hold some"):
        featurize.run([tmp_path / "clips", tmp_path / "empty"], tmp_path / "store", backbones="phash")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("wrong", [{"backbones": []}, {"backbones": "phash", "views": []}])
def test_nothing_to_compute_is_refused(clips: Path, tmp_path: Path, wrong: dict[str, list[str]]) -> None:
    with pytest.raises(SettingsError, match="name at least one backbone and one view"):
        featurize.run(clips, tmp_path / "store", **wrong)  # type: ignore[arg-type]


def test_without_progress_a_run_is_silent(clips: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    featurize.run(clips, tmp_path / "store", backbones="phash", progress=False)
    assert capfd.readouterr() == ("", "")


def test_progress_is_a_bar_where_one_can_be_drawn() -> None:
    shown = {}
    for name, settings in {
        "terminal": {"force_terminal": True},
        "notebook": {"force_jupyter": True},
        "log": {},
    }.items():
        console = Console(file=io.StringIO(), width=100, **settings)  # type: ignore[arg-type]
        with progress_bar(console, 2) as on_clip:
            on_clip(featurize.Progress(clips=2, frames=6))
        shown[name] = console.file.getvalue()  # type: ignore[attr-defined]
    assert "2/2" in shown["terminal"]
    assert shown["log"] == ""
    assert find_spec("ipywidgets") or shown["notebook"] == ""


def test_every_public_name_has_an_example_and_is_imported_when_it_is_asked_for() -> None:
    for name in featurize.__all__:
        assert "Example:\n" in getattr(featurize, name).__doc__, name
    with pytest.raises(AttributeError, match="module 'featurize' has no attribute 'train'"):
        _ = featurize.train  # type: ignore[attr-defined]
    check = "import sys, featurize; print(sorted({'numpy', 'rich', 'tensorflow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("package", ["store", "featurize", "heads"])
def test_packages_tell_type_checkers_that_they_are_typed(package: str) -> None:
    spec = find_spec(package)
    assert spec is not None
    assert (Path(str(spec.origin)).parent / "py.typed").is_file()


def test_a_number_without_a_point_is_the_same_rate_and_a_store_that_says_it_otherwise_is_gone_on_with(
    clips: Path, tmp_path: Path
) -> None:
    assert featurize.run(clips, tmp_path / "store", backbones="phash", fps=2, progress=False).done == 4
    command = ["--backbone", "phash", "--fps", "2", "--store", str(tmp_path / "store"), "--json", str(clips)]
    assert '"done": 0' in CliRunner().invoke(app, command).output
    (key,) = FeatureStore.open(tmp_path / "store").keys()
    assert repr(key.sampling["fps"]) == "2.0"
    earlier = FeatureStore.open(tmp_path / "earlier", create=True)
    with earlier.writer(replace(key, sampling={**key.sampling, "fps": 2})):
        pass
    assert featurize.run(clips, tmp_path / "earlier", backbones="phash", fps=2.0, progress=False).done == 4
    (kept,) = FeatureStore.open(tmp_path / "earlier").keys()
    assert repr(kept.sampling["fps"]) == "2"
