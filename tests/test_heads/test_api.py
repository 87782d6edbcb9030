"""The functions of a notebook: tables in, tables out, warnings instead of notes on a terminal."""

import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_store import clip_ids, make_store, sites_of
from small_heads import small_head

import heads
from featurize.demo.make import plan_demo
from featurize.demo.scenes import draw_clip, write_video
from heads.errors import LabelError, RunError
from store import FeatureStore

RECIPE = heads.Recipe(folds=3, heads=(small_head(pseudo_epochs=0, epochs=30), heads.HeadConfig(kind="discriminant")))
QUIET = {"recipe": RECIPE, "progress": False}


def tables(count: int = 60) -> tuple[pd.DataFrame, pd.DataFrame]:
    ids = clip_ids(count)
    deer = np.random.default_rng(3).integers(0, 2, count)
    labels = pd.DataFrame({"filename": ids, "blank": 1 - deer, "deer": deer})
    return labels, pd.DataFrame({"filename": ids, "site": sites_of(ids)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    labels, sites = tables()
    make_store(folder / "store", labels[["blank", "deer"]].to_numpy(np.uint8))
    run = heads.train(folder / "store", labels, sites=sites, run=folder / "run", **QUIET)  # type: ignore[arg-type]
    run.blend()
    return folder


def test_labels_as_a_frame_and_as_a_file_are_the_same_run(folder: Path, tmp_path: Path) -> None:
    labels, sites = tables()
    labels.to_csv(tmp_path / "labels.csv", index=False)
    again = heads.train(str(folder / "store"), tmp_path / "labels.csv", sites=sites, run=folder / "run", **QUIET)  # type: ignore[arg-type]
    assert again.heads["name"].tolist() == ["deviation-made", "discriminant-made"]
    long = pd.DataFrame({"filepath": labels["filename"], "label": np.where(labels["deer"], "deer", "blank")})
    other = heads.train(folder / "store", long, sites=sites.set_index("filename"), run=tmp_path / "run", **QUIET)  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(other.out_of_fold("discriminant-made"), again.out_of_fold("discriminant-made"))


def test_a_run_is_shown_as_its_leaderboard(folder: Path) -> None:
    run = heads.Run(folder / "run")
    board = run.leaderboard
    assert board["mean_log_loss"].is_monotonic_increasing
    assert board["chosen"].sum() == 1
    assert board.iloc[-1]["name"] == "training prior"
    assert repr(run) == f"Run('{run.path}': 2 models, blend '{board.loc[board['chosen'], 'name'].item()}')"
    page = run._repr_html_()
    shown = re.findall(r"<td>(.*?)</td>", page)
    assert set(board["name"]) <= set(shown)
    assert f"{board['mean_log_loss'].iloc[0]:.4f}" in shown


def test_answers_are_frames_and_say_whose_they_are(folder: Path, tmp_path: Path) -> None:
    run = heads.Run(folder / "run")
    answers = run.predict(folder / "store").to_frame()
    assert list(answers.columns) == ["clip_id", "status", "origin", "blank", "deer"]
    assert set(answers["origin"]) == {"out of fold"}
    truth = tables()[0].set_index("filename").loc[answers["clip_id"], "deer"]
    assert ((answers["deer"].to_numpy() > 0.5) == (truth.to_numpy() == 1)).mean() > 0.9
    some = answers["clip_id"][::-10]
    assert run.predict(folder / "store", some).to_frame()["clip_id"].tolist() == some.tolist()  # type: ignore[arg-type]
    with pytest.warns(heads.HeadsWarning, match=r"ids: 2 of 2 clip ids are not spelt as the clips are"):
        asked = run.predict(folder / "store", [f"/mnt/{clip_id}" for clip_id in some[:2]])
    assert asked.predictions.ids == tuple(some[:2])
    new = make_store(tmp_path / "new", np.array([[0, 1]], np.uint8), ids=["new.mp4"])
    assert run.predict(new).to_frame().loc[0, ["clip_id", "origin"]].tolist() == ["new.mp4", "new"]
    weighed = run.attend(folder / "store", clip_ids(1)[0])
    assert weighed.groupby("head")["weight"].sum().to_numpy() == pytest.approx([1.0] * weighed["head"].nunique())
    with pytest.warns(heads.HeadsWarning, match="clips are shown without pictures, for example site 0/"):
        page = run.report(folder / "store")
    assert "deviation-made" in page.read_text(encoding="utf-8")


def test_columns_of_true_and_false_are_labels(folder: Path) -> None:
    labels, sites = tables()
    masks = labels.astype({"blank": bool, "deer": bool})
    again = heads.train(folder / "store", masks, sites=sites, run=folder / "run", **QUIET)  # type: ignore[arg-type]
    assert again.path == folder / "run"


def test_what_flatters_is_a_warning(folder: Path, tmp_path: Path) -> None:
    labels, _ = tables()
    with pytest.warns(heads.HeadsWarning, match="no sites were given, so clips of one camera stand on both") as caught:
        heads.train(folder / "store", labels, run=tmp_path / "run", **QUIET)  # type: ignore[arg-type]
    ours = [each for each in caught if issubclass(each.category, heads.HeadsWarning)]
    assert {Path(each.filename).name for each in ours} == {"test_api.py"}


def test_wrong_tables_name_the_frame_and_its_line(folder: Path, tmp_path: Path) -> None:
    labels, sites = tables()
    labels.loc[1, "deer"] = 7
    with pytest.raises(LabelError, match=r"labels \(DataFrame\)\.csv, line 3, clip 'site 1/001.mp4': 'deer' is '7'"):
        heads.train(folder / "store", labels, sites=sites, run=tmp_path / "run", **QUIET)  # type: ignore[arg-type]
    with pytest.raises(RunError, match="there is no such run"):
        heads.Run(tmp_path / "nothing").leaderboard  # noqa: B018


def test_importing_the_packages_imports_nothing_heavy() -> None:
    heavy = "{'numpy', 'tensorflow', 'keras', 'pandas'}"
    code = f"import sys, heads, featurize, store; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_block_of_the_readme_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    planned = [clip for clip in plan_demo(240) if clip.name.endswith(".mp4")][::5][:30]
    for clip in planned:
        path = tmp_path / "clips" / clip.name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, draw_clip(clip.scene, frames=8, width=96, height=72), fps=4)
    rows = [(clip.name, label) for clip in planned for label in clip.labels]
    pd.DataFrame(rows, columns=["filename", "label"]).to_csv(tmp_path / "labels.csv", index=False)
    sites = [(clip.name, clip.name.split("/")[0]) for clip in planned]
    pd.DataFrame(sites, columns=["filename", "site"]).to_csv(tmp_path / "sites.csv", index=False)
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", heads.HeadsWarning)  # few clips: some fold cannot score some class
        exec(block, scope)
    answers = scope["new"]
    assert isinstance(answers, pd.DataFrame)
    assert set(answers["clip_id"]) == {clip.name for clip in planned}
    assert json.loads(Path("RUN/metrics.json").read_text())["chosen"]
    assert len(FeatureStore.open("STORE").keys()) == 2
