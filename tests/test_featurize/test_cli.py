"""The `featurize` command as a person meets it."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forked import Forked, run_featurize
from indexed_clips import write_indexed_clip
from typer.testing import CliRunner

from featurize.cli import app
from store import FeatureStore

FEATURIZE = [sys.executable, "-c", "from featurize.cli import main; main()"]


def featurize(*words: object, timeout: float = 300) -> "subprocess.CompletedProcess[str]":
    command = [*FEATURIZE, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for index in range(24):
        write_indexed_clip(folder / f"site {index % 3}" / f"{index:02d}.mp4", 2 + index % 5, fps=2)
    (folder / "broken.avi").write_bytes(b"RIFF" + bytes(100))
    return folder


def lite(store: Path) -> list[object]:
    return ["--backbone", "efficientnet_lite0", "--store", store, "--fps", "2", "--clips-per-part", "3"]


def test_help_needs_no_network_library() -> None:
    check = "import sys; from featurize.cli import app; import typer.main; typer.main.get_command(app); "
    check += "print(sorted({'tensorflow', 'keras', 'numpy', 'openvino', 'pandas', 'h5py'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout == "[]\n"
    shown = featurize("--help")
    assert shown.returncode == 0
    assert "--retry-failed" in shown.stdout


def test_fetching_weights_has_a_help_of_its_own() -> None:
    shown = featurize("weights", "--help")
    assert shown.returncode == 0
    assert "Fetch weights, and make files of networks" in shown.stdout
    assert "--input-px" in shown.stdout
    assert "--retry-failed" not in shown.stdout
    assert featurize("weights").returncode == 2


@pytest.mark.parametrize("words", [["--dry-run"], []])
def test_rules_need_no_network_library(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "clips").mkdir()
    write_indexed_clip(tmp_path / "clips" / "a.mp4", 3, fps=2)
    command = ["featurize", tmp_path / "clips", "--backbone", "phash", "--backbone", "audio", "--fps", 2, "--json"]
    check = f"import sys; sys.argv = {[*map(str, [*command, '--store', tmp_path / 'store', *words])]}\n"
    check += "from featurize.cli import main\ntry: main()\nexcept SystemExit: pass\n"
    check += "print(sorted({'tensorflow', 'keras', 'openvino'} & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["to_do" if words else "done"] == 1
    assert done.stderr.splitlines()[-1] == "[]"


def test_backbones_are_listed_for_people_and_machines() -> None:
    rows = json.loads(featurize("--list-backbones", "--json").stdout)
    lite0 = next(row for row in rows if row["name"] == "efficientnet_lite0")
    assert lite0["dim"] == 1752 == sum(tap["channels"] for tap in lite0["taps"])
    assert lite0["weights_available"] is True
    assert "efficientnet_lite2" in featurize("--list-backbones").stdout


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["CLIPS"], 2, "give --store, the folder to keep features in"),
        (["CLIPS", "--store", "S"], 2, "give --backbone, such as efficientnet_lite0"),
        (["CLIPS", "--backbone", "resnet", "--store", "S"], 1, "error: backbone 'resnet' is unknown"),
        (["GONE", "--backbone", "efficientnet_lite0", "--store", "S"], 1, "there is no such file or folder"),
        (["CLIPS", "--backbone", "phash", "--store", "CLIPS"], 1, "is no store, and holds other things"),
        (["CLIPS", "--backbone", "efficientnet_lite0", "--store", "S", "--fps", "0"], 1, "--fps is 0, expected"),
        (["CLIPS", "--backbone", "efficientnet_lite0", "--store", "S", "--fps", "1", "--frames", "3"], 1, "not both"),
        (["CLIPS", "--backbone", "efficientnet_lite0", "--store", "S", "--view", "side"], 2, "'side' is not one of"),
        (["CLIPS", "--backbone", "efficientnet_lite0", "--store", "S", "--choose", "motion"], 1, "needs the number of"),
    ],
)
def test_wrong_words_get_one_sentence(clips: Path, tmp_path: Path, words: list[str], code: int, expected: str) -> None:
    places = {"CLIPS": str(clips), "GONE": str(tmp_path / "gone"), "S": str(tmp_path / "store")}
    done = featurize(*(places.get(word, word) for word in words))
    assert done.returncode == code
    assert expected in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_run_tells_what_it_will_do_does_it_and_does_nothing_the_second_time(clips: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    outlook = featurize(clips, *lite(store), "--dry-run", "--json")
    told = json.loads(outlook.stdout)
    assert (told["clips"], told["to_do"]) == (25, 25)
    assert told["seconds"] > 0
    assert not store.exists()
    first = featurize(clips, *lite(store), "--json")
    done = json.loads(first.stdout)
    assert first.returncode == 3
    assert (done["done"], done["failed"]) == (24, 1)
    assert told["frames"] == pytest.approx(done["frames"], rel=0.1)
    assert done["failures"][0]["clip_id"] == "broken.avi"
    second = featurize(clips, *lite(store))
    assert second.returncode == 0
    assert "nothing to do: 25 of 25 clips were done before" in second.stdout
    assert "1 clip had failed before; --retry-failed" in second.stdout


@pytest.mark.slow
@pytest.mark.timeout(3000)  # it begins 24 times, which takes long where others work too
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_killed_at_random_it_always_resumes_to_the_same_bits(tmp_path: Path) -> None:
    """Twenty times in a row the process is killed at a random moment, under a rule and under a network; then both may
    finish.

    A call makes four parts, of facts and of features in turn: the moment is soon after one of them, or after the start.
    """
    clips = tmp_path / "clips"
    for index in range(100):
        write_indexed_clip(clips / f"{index:02d}.mp4", 2 + index % 5, fps=2)
    store, chance = tmp_path / "killed", random.Random(7)
    rule = ["--backbone", "phash", *lite(store)[2:]]
    killed = _killed(17, clips, store, rule, chance) + _killed(3, clips, store, lite(store), chance)
    assert killed >= 10
    seen = {clip_id for key in FeatureStore.open(store).keys() for clip_id in FeatureStore.open(store).reader(key).ids}
    assert 0 < len(seen) < 100
    undisturbed = tmp_path / "undisturbed"
    for root in (store, undisturbed):
        assert featurize(clips, "--backbone", "phash", *lite(root)).returncode == 0
    assert len(_contents(undisturbed)) == 200
    assert _contents(store) == _contents(undisturbed)


def _killed(times: int, clips: Path, store: Path, words: list[object], chance: random.Random) -> int:
    """How often the process, begun `times` times, was killed before it had ended; no committed clip may be lost."""
    seen, killed = _clips_of(store), 0
    for _ in range(times):
        with Forked(run_featurize, str(clips), *map(str, words), "--limit", "6", "--workers", "1") as process:
            _wait_until_at_work(process)
            _wait_for_parts(process, store, _parts_of(store) + chance.randrange(4))
            time.sleep(chance.uniform(0, 0.1))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
        before, seen = seen, _clips_of(store)
        assert seen >= before, "a committed clip was lost"
    return killed


def _wait_until_at_work(process: Forked) -> None:
    """Let the process get as far as having its network or its rule: until then a kill could harm nothing."""
    while process.poll() is None:
        try:
            mapped = Path(f"/proc/{process.pid}/maps").read_text()
        except OSError:
            return
        if "libopenvino_intel_cpu_plugin" in mapped or "_fftpack" in mapped or "pypocketfft" in mapped:
            return
        time.sleep(0.05)


def _wait_for_parts(process: Forked, root: Path, count: int) -> None:
    while process.poll() is None and _parts_of(root) < count:
        time.sleep(0.002)


def _parts_of(root: Path) -> int:
    return len(list(root.rglob("part-*.h5")))


def _clips_of(root: Path) -> int:
    if not (root / "features").is_dir():
        return 0
    store = FeatureStore.open(root)
    return sum(store.info(key).clips for key in store.keys())


def _contents(root: Path) -> list[tuple[str, str, str, list[float], bytes]]:
    store = FeatureStore.open(root)
    readers = {key.folder: store.reader(key) for key in store.keys()}
    return [
        (folder, clip_id, reader.status[place].value, reader.times(place).tolist(), reader.batch([place])[0].tobytes())
        for folder, reader in sorted(readers.items())
        for place, clip_id in enumerate(reader.ids)
    ]


def test_names_with_brackets_are_printed_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "[red] card").mkdir()
    (tmp_path / "[red] card" / "x[bold].mp4").touch()
    done = featurize(tmp_path / "[red] card", *lite(tmp_path / "store"))
    assert done.returncode == 3
    assert "x[bold].mp4  the file is empty" in done.stdout


def test_a_known_clip_that_cannot_be_reached_is_listed_and_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    write_indexed_clip(tmp_path / "drive.mp4", 3, fps=2)
    (tmp_path / "clips" / "a.mp4").symlink_to(tmp_path / "drive.mp4")
    words = [tmp_path / "clips", "--backbone", "phash", "--store", tmp_path / "store"]
    assert featurize(*words).returncode == 0
    (tmp_path / "drive.mp4").unlink()
    again = featurize(*words)
    assert again.returncode == 3
    assert "a.mp4        cannot be reached now; what the store holds of it is kept" in again.stdout
    assert _clips_of(tmp_path / "store") == 1


def test_files_that_are_passed_over_are_named_by_suffix_at_the_end(tmp_path: Path) -> None:
    write_indexed_clip(tmp_path / "clips" / "a.mp4", 3, fps=2)
    for name in ("b.txt", "c.txt", "d.XML"):
        (tmp_path / "clips" / name).touch()
    words = [str(tmp_path / "clips"), "--backbone", "phash", "--store", str(tmp_path / "store")]
    done = CliRunner().invoke(app, words)
    sentence = "3 files were passed over, which do not end as clips do: 2 .txt, 1 .xml"
    assert (done.exit_code, sentence in done.stdout.splitlines()) == (0, True)
    again = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert (again["clips"], again["passed_over"]) == (1, {".txt": 2, ".xml": 1})


def test_previews_answer_in_json_too(tmp_path: Path) -> None:
    write_indexed_clip(tmp_path / "clips" / "a.mp4", 3, fps=2)
    (tmp_path / "clips" / "b.mp4").touch()
    done = featurize(tmp_path / "clips", "--preview", tmp_path / "sheets", "--json")
    assert done.returncode == 3
    failure = {"clip_id": "b.mp4", "reason": "the file is empty (0 bytes)"}
    expected = {"sheets": 1, "folder": str(tmp_path / "sheets"), "failures": [failure], "unlisted": []}
    assert json.loads(done.stdout) == expected


_WITH_A_CLOSED_FOLDER = """
import os
listing = os.scandir

def scandir(path):
    if os.path.basename(path) == "closed":
        raise PermissionError(13, "Permission denied", str(path))
    return listing(path)

os.scandir = scandir
from featurize.cli import main
main()
"""


def test_a_folder_that_cannot_be_listed_is_no_success(tmp_path: Path) -> None:
    write_indexed_clip(tmp_path / "a.mp4", 3, fps=2)
    (tmp_path / "closed").mkdir()
    words = [tmp_path, "--backbone", "phash", "--store", tmp_path / "store"]
    command = [sys.executable, "-c", _WITH_A_CLOSED_FOLDER, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 3, done.stderr
    assert f"{tmp_path / 'closed'}  the folder cannot be listed: Permission denied" in done.stdout
