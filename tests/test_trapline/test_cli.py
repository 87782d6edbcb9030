"""The `trapline` command: the demo's commands, and what it finds on a machine."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from trapline import doctor as doctor_module
from trapline.cli import app
from trapline.demo import run_demo

RUNNER = CliRunner()


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would have run, each as `program word...`; `featurize` says that some clips failed."""
    seen: list[list[str]] = []

    def record(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        program = command[2].split(".")[0].removeprefix("from ")
        seen.append([program, *command[3:]])
        return subprocess.CompletedProcess(command, {"featurize": 3, "heads": 0}[program])

    monkeypatch.setattr("trapline.demo.subprocess.run", record)
    return seen


def test_the_demo_goes_the_whole_way_on_clips_that_are_given(
    called: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "my demo"
    run_demo(folder, clips=Path("my clips"), labels=Path("l.csv"), sites=Path("s.csv"))
    assert [words[:2] for words in called] == [
        ["featurize", "my clips"],
        ["heads", "train"],
        ["heads", "blend"],
        ["heads", "report"],
    ]
    assert called[1][2:] == [
        *("--store", str(folder / "store"), "--labels", "l.csv", "--sites", "s.csv", "--run", str(folder / "run"))
    ]
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("$ featurize 'my clips' --store '")


def test_drawn_clips_are_drawn_once(called: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(folder: Path) -> None:
        assert not (folder / "labels.csv").exists()
        folder.mkdir(exist_ok=True)
        (folder / "labels.csv").touch()

    monkeypatch.setattr("featurize.demo.make.make_demo", draw)
    for _ in range(2):
        run_demo(tmp_path, clips=None, labels=None, sites=None)
    assert called[:4] == called[4:]
    recipe = called[1][called[1].index("--recipe") + 1]
    assert Path(recipe).is_file()


@pytest.mark.parametrize(
    ("here", "gpu", "begun", "said"),
    [
        (("f32", "bf16"), False, None, ["--precision", "bf16"]),
        (("f32", "bf16"), False, "efficientnet_lite0-whole-bf16-2b95de5f38e0", ["--precision", "bf16"]),
        (("f32", "bf16"), False, "efficientnet_lite0-whole-7abea354ba44", []),
        (("f32", "bf16"), True, None, []),
        (("f32",), False, None, []),
    ],
)
def test_drawn_clips_are_seen_in_bf16_where_the_processor_has_it_unless_they_were_begun_otherwise(
    here: tuple[str, ...],
    gpu: bool,
    begun: str | None,
    said: list[str],
    called: list[list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("featurize.runtime.precision.precisions_here", lambda: here)
    monkeypatch.setattr("featurize.runtime.runners.has_gpu", lambda: gpu)
    (tmp_path / "labels.csv").touch()  # the clips are drawn
    if begun is not None:
        (tmp_path / "store" / "features" / begun).mkdir(parents=True)
    run_demo(tmp_path, clips=None, labels=None, sites=None)
    assert called[0][-2:] == (said or ["--view", "motion"])
    called.clear()
    run_demo(tmp_path, clips=Path("mine"), labels=Path("l.csv"), sites=None)
    assert "--precision" not in called[0]


def test_the_demo_ends_where_a_command_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trapline.demo.subprocess.run", lambda command, **_: subprocess.CompletedProcess(command, 1))
    with pytest.raises(SystemExit) as ended:
        run_demo(tmp_path, clips=Path("clips"), labels=Path("l.csv"), sites=None)
    assert ended.value.code == 1


def test_own_clips_need_labels() -> None:
    done = RUNNER.invoke(app, ["demo", "--clips", "clips"])
    assert done.exit_code == 2
    assert "--labels" in done.output


def test_the_doctor_finds_what_the_tests_run_with(tmp_path: Path) -> None:
    done = RUNNER.invoke(app, ["doctor", "--folder", str(tmp_path), "--json"])
    found = {each["name"]: each for each in json.loads(done.stdout)}
    assert done.exit_code == 0
    assert f"{sys.version_info.major}.{sys.version_info.minor}." in found["Python"]["found"]
    assert "efficientnet_lite0" in found["weights"]["found"]
    assert found["extra gbm"]["remedy"] == ""
    assert found["ffmpeg"]["remedy"] == ""
    assert [*tmp_path.iterdir()] == []
    assert not any(each["is_wrong"] for each in found.values())


def test_the_doctor_says_what_is_wrong_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise RuntimeError("No ffmpeg exe could be found")

    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", missing)
    monkeypatch.setattr(doctor_module, "_EXTRAS", {"gbm": (("no_such_module",), "trees")})
    monkeypatch.setattr(doctor_module, "_tensorflow", list)
    monkeypatch.setattr(doctor_module, "_openvino", list)
    done = RUNNER.invoke(app, ["doctor", "--folder", str(tmp_path / "nowhere")])
    assert done.exit_code == 1
    lines = {line.split()[1]: line for line in done.stdout.splitlines()[:-1]}
    assert lines["ffmpeg"].startswith("WRONG")
    assert "IMAGEIO_FFMPEG_EXE" in lines["ffmpeg"]
    assert lines["disk"].startswith("WRONG")
    assert lines["extra"].startswith("note")
    assert "pip install 'trapline[gbm]'" in lines["extra"]
    assert done.stdout.splitlines()[-1] == "2 of these keep Trapline from working"
