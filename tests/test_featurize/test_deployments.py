"""Clips of which a table of sites says of which deployment they are: seen against others of it, and no others."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from moving import FPS, HEIGHT, WIDTH, as_pixels, clip, walk
from typer.testing import CliRunner

from featurize.background.settings import background_settings
from featurize.cli import app
from featurize.commands.run import write_previews
from featurize.demo.scenes import write_video
from featurize.errors import SettingsError, SitesError
from featurize.pipeline.discover import survey
from featurize.pipeline.extract import extract
from featurize.pipeline.places.deployments import told_deployments
from featurize.pipeline.request import Request, carry_out, plan_request
from featurize.views.sampling import Sampling
from store import FeatureStore, SeenAgainst
from store.format.background_part import background_folder
from store.maintenance.verify import verify_store

FIRST, SECOND = [f"a{number}.mp4" for number in range(5)], [f"b{number}.mp4" for number in range(5)]
ODD = "elsewhere.mp4"


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten clips of one place, and one of another."""
    folder = tmp_path_factory.mktemp("trap")
    for number, name in enumerate([*FIRST, *SECOND]):
        write_video(folder / name, frames(number), fps=FPS)
    write_video(folder / ODD, iter(as_pixels(clip(walk(), seed=4)[:24])), fps=FPS)
    return folder


def frames(seed: int) -> Iterator[np.ndarray]:
    noise = np.random.default_rng(seed).normal(0, 2, (24, HEIGHT, WIDTH, 3))
    return iter(as_pixels((clip()[:24] * (0.8 + 0.03 * seed) + noise).astype(np.float32)))


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "sites.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def rows_of(first: list[str], second: list[str]) -> str:
    return "filename,site,deployment\n" + "".join(
        f"{name},s1,{number}\n" for number, names in ((1, first), (2, second)) for name in names
    )


def request_for(clips: Path, sites: Path | None, **others: Any) -> Request:
    settings = {"views": ["animal"], "workers": 2, "sampling": Sampling(frames=2), **others}
    return Request(videos=[clips], backbones=["phash"], offline=True, sites=sites, **settings)


def learned(clips: Path, root: Path, sites: Path | None, said: list[str] | None = None) -> dict[str, SeenAgainst]:
    """What the clips are seen against, by their names; the request is carried out in two shares."""
    store = FeatureStore.open(root, create=True)
    plan = plan_request(request_for(clips, sites), store, (said if said is not None else []).append)
    for index in range(2):
        extract(plan.share(index, 2), store, workers=1)
    return {row.clip_id: row for row in store.backgrounds(background_settings()).values()}


def others_of(rows: dict[str, SeenAgainst], name: str) -> set[str]:
    names = {row.fingerprint: clip_id for clip_id, row in rows.items()}
    return {names[other] for other in rows[name].others}


def test_clips_are_seen_against_those_of_their_deployment_and_only_if_these_show_the_same(
    trap: Path, tmp_path: Path, table: Callable[[str], Path]
) -> None:
    free = learned(trap, tmp_path / "free", None)
    assert others_of(free, "a0.mp4") == {*FIRST, *SECOND} - {"a0.mp4"}
    rows = learned(trap, tmp_path / "told", table(rows_of([*FIRST, ODD], SECOND)))
    for names in (FIRST, SECOND):
        assert {name: others_of(rows, name) for name in names} == {name: {*names} - {name} for name in names}
    assert not rows[ODD].others
    assert {name: row.deployment for name, row in rows.items()} == dict.fromkeys(
        [*FIRST, ODD], "s1 / 1"
    ) | dict.fromkeys(SECOND, "s1 / 2")
    assert rows["a0.mp4"].digest != free["a0.mp4"].digest
    assert verify_store(tmp_path / "told").problems == []


def test_a_table_without_deployments_changes_nothing_but_says_so(
    trap: Path, tmp_path: Path, table: Callable[[str], Path]
) -> None:
    free = learned(trap, tmp_path / "free", None)
    said: list[str] = []
    rows = learned(trap, tmp_path / "store", table("filename,site\na0.mp4,s1\n"), said)
    assert {name: row.digest for name, row in rows.items()} == {name: row.digest for name, row in free.items()}
    assert said == [
        "sites.csv: there is no column 'deployment', so that pictures alone tell which clips are of one framing"
    ]
    settings = background_settings()
    columns = [
        path.read_bytes().count(b"deployment") for path in background_folder(tmp_path / "store", settings).iterdir()
    ]
    assert columns == [0]


def test_of_clips_that_the_table_does_not_name_pictures_tell(
    trap: Path, tmp_path: Path, table: Callable[[str], Path]
) -> None:
    said: list[str] = []
    rows = learned(trap, tmp_path / "store", table(rows_of(FIRST, ["b0.mp4"]) + "b1.mp4,s1,NA\n"), said)
    assert others_of(rows, "a1.mp4") == {*FIRST} - {"a1.mp4"}
    assert not rows["b0.mp4"].others  # too few of its deployment
    assert others_of(rows, "b1.mp4") == {*FIRST, *SECOND} - {"b1.mp4"}
    (sentence,) = said
    assert sentence.startswith("sites.csv: it names no deployment of 5 clips of 11, of which pictures alone tell")


def test_what_the_store_was_told_holds_for_later_clips_and_the_order_of_clips_does_not_matter(
    trap: Path, tmp_path: Path, table: Callable[[str], Path]
) -> None:
    once = learned(trap, tmp_path / "once", table(rows_of(FIRST, SECOND)))
    clips = tmp_path / "clips"
    clips.mkdir()
    for name in [*FIRST, *SECOND]:
        (clips / name.replace("a", "z")).symlink_to(trap / name)
    renamed = [name.replace("a", "z") for name in FIRST]
    again = learned(clips, tmp_path / "again", table(rows_of(renamed, SECOND)))
    for name in [*FIRST, *SECOND]:
        assert {*again[name.replace("a", "z")].others} == {*once[name].others}
    write_video(clips / "later.mp4", frames(11), fps=FPS)
    rows = learned(clips, tmp_path / "again", table("filename,site,deployment\nlater.mp4,s1,2\n"))
    assert others_of(rows, "later.mp4") == {*SECOND}
    assert {name: rows[name].digest for name in again} == {name: row.digest for name, row in again.items()}


def test_a_table_that_comes_too_late_is_told_from_one_that_changes_nothing(
    trap: Path, tmp_path: Path, table: Callable[[str], Path]
) -> None:
    free = learned(trap, tmp_path / "store", None)
    said: list[str] = []
    sites = table(rows_of([*FIRST, ODD], SECOND))
    assert {name: row.others for name, row in learned(trap, tmp_path / "store", sites, said).items()} == {
        name: row.others for name, row in free.items()
    }
    (sentence,) = said
    assert "what 10 clips in the store are seen against was found out before" in sentence
    assert "until `store refresh` forgets it" in sentence
    assert not told_deployments(None, survey([trap]).clips, FeatureStore.open(tmp_path / "store"), said.append)
    assert len(said) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Filepath;Site;Deployment\n/mnt/cards/one/b.mp4;s1;1\n/mnt/cards/two/b.mp4;s1;2\n",
        "clip_id\tdeployment\none/b.mp4\t s1 / 1 \ntwo/b.mp4\ts1 / 2\n",
        '\ufefffilename,deployment,site,"a, b"\n./one/b.mp4,1,s1,\ntwo\\b.mp4,2,s1,\nthree/b.mp4,3,s1,\n',
    ],
    ids=["full paths and semicolons", "tabs and no site", "a byte order mark and backslashes"],
)
def test_rows_mean_clips_by_the_ends_of_paths(tmp_path: Path, table: Callable[[str], Path], text: str) -> None:
    for name in ("one", "two"):
        (tmp_path / "cards" / name).mkdir(parents=True)
        (tmp_path / "cards" / name / "b.mp4").write_bytes(b"")
    sites = table(text)
    expected = {"one/b.mp4": "s1 / 1", "two/b.mp4": "s1 / 2"}
    assert told_deployments(sites, survey([tmp_path / "cards"]).clips, None, pytest.fail) == expected
    single = survey([tmp_path / "cards" / "one"]).clips
    if "/mnt" not in text:
        assert told_deployments(sites, single, None, pytest.fail) == {"b.mp4": "s1 / 1"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,deployment\na0.mp4,1\n", "there is no column of clips, expected one of filename, filepath, clip_id"),
        ("", "found nothing"),
        ("filename,Deployment,deployment\na0.mp4,1,1\n", "the header names deployment more than once"),
        ("filename,deployment\na0.mp4\n", "line 2: 1 cell, expected 2 as in the header"),
        ("filename,deployment\n ,1\n", "line 2: the column 'filename' is empty"),
        ("filename,deployment\na0.mp4,1\na0.mp4,2\n", "line 3: clip 'a0.mp4' stands already in line 2"),
        (
            "filename,deployment\na0.mp4,1\nFOLDER/a0.mp4,2\n",
            "lines 2 and 3: both mean clip 'a0.mp4', of deployment '1'",
        ),
        ("filename,deployment\nother card/a0.mp4,1\n", "none of its rows means one of the 11 clips"),
        ('filename,deployment\n"a0.mp4,1\n', "not a CSV file in UTF-8"),
    ],
)
def test_a_table_that_is_none_is_refused_before_a_store_is_made(
    trap: Path, tmp_path: Path, table: Callable[[str], Path], text: str, message: str
) -> None:
    text = text.replace("FOLDER", trap.name)
    with pytest.raises(SitesError, match=message.replace("(", r"\(")):
        carry_out(
            request_for(trap, table(text)),
            tmp_path / "store",
            watch=lambda _: pytest.fail("it began"),
            on_warning=pytest.fail,
        )
    assert not (tmp_path / "store").exists()


def test_a_table_that_is_not_there_is_named(trap: Path, tmp_path: Path) -> None:
    with pytest.raises(SitesError, match=r"sites\.csv: cannot be read \(No such file or directory\)"):
        told_deployments(tmp_path / "sites.csv", survey([trap]).clips, None, pytest.fail)


def test_a_table_for_views_that_compare_nothing_is_refused(
    trap: Path, tmp_path: Path, table: Callable[[str], Path]
) -> None:
    sites = table(rows_of(FIRST, SECOND))
    with pytest.raises(SettingsError, match="deployments matter to views that compare clips; ask for --view animal"):
        plan_request(request_for(trap, sites, views=["whole", "motion"]), None, pytest.fail)
    with pytest.raises(SettingsError, match="deployments matter"):
        write_previews([trap], Sampling(frames=2), tmp_path / "sheets", sites=sites, workers=1, limit=1, as_json=True)


def test_the_command_takes_the_table_for_features_previews_and_triage(
    trap: Path, tmp_path: Path, table: Callable[[str], Path]
) -> None:
    sites = table(rows_of([*FIRST, ODD, *SECOND[1:]], SECOND[:1]))
    told = ["--sites", str(sites), "--json"]
    run = [str(trap), "--backbone", "phash", "--frames", "2", "--view", "animal", "--store", str(tmp_path / "store")]
    done = CliRunner().invoke(app, [*run, *told])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["without_background"] == 2  # the odd one, and the only one of its deployment
    triage = CliRunner().invoke(app, [str(trap), "--triage", "--out", str(tmp_path / "blank.csv"), *told])
    assert triage.exit_code == 0, triage.output
    assert json.loads(triage.stdout)["without_background"] == 2
    sheets = [str(trap), "--preview", str(tmp_path / "sheets"), "--view", "animal", "--limit", "1", "--frames", "2"]
    assert CliRunner().invoke(app, [*sheets, *told]).exit_code == 0
    wrong = CliRunner().invoke(app, [*sheets, "--sites", str(tmp_path / "none.csv")])
    assert isinstance(wrong.exception, SitesError)
