"""The report in a real browser: a probe clicks, types and listens, and leaves what it saw in the page."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from indexed_clips import write_indexed_clip
from made_store import clip_ids, make_store, sites_of
from training import train_run

from heads.recipe import HeadConfig, Recipe
from heads.report import render_report
from heads.run import RunDirectory
from heads.workflows.blend import blend_run

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-background-networking", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1400,1000",
)  # fmt: skip
LISTEN = """<script>
window.seen = {errors: []};
for (const kind of ["error", "unhandledrejection", "securitypolicyviolation"])
  addEventListener(kind, (event) => seen.errors.push(kind + " " + (event.message || event.violatedDirective || "")));
for (const level of ["error", "warn"]) console[level] = (...said) => seen.errors.push(said.join(" "));
</script>"""
PROBE = r"""<script>
const rows = () => [...document.querySelectorAll("#species tbody tr")];
const column = (place) => rows().map((row) => row.cells[place].dataset.value);
const shown = () => rows().filter((row) => row.offsetHeight > 0).length;
const button = (place) => document.querySelectorAll("#species thead button")[place];
const state = (place) => button(place).closest("th").getAttribute("aria-sort");
button(1).click(); seen.falling = column(1).map(Number); seen.falling_state = state(1);
button(1).click(); seen.rising = column(1).map(Number); seen.rising_state = state(1);
button(0).click(); seen.names = column(0); seen.cleared_state = state(1);
const box = document.querySelector('input[data-filter="species"]');
const type = (text) => { box.value = text; box.dispatchEvent(new Event("input")); };
seen.all = shown();
type("PRIMATE non"); seen.filtered = shown(); seen.note = document.querySelector('[data-count="species"]').textContent;
type("no such animal"); seen.none = shown();
type(""); seen.again = shown();
seen.fetched = performance.getEntriesByType("resource").map((entry) => entry.name);
const wanted = document.querySelector('select[data-chooses="thresholds"]');
const aims = () => [...document.querySelectorAll("#thresholds tbody tr")].filter((row) => row.offsetHeight > 0);
seen.aims_at_first = [...new Set(aims().map((row) => row.cells[1].textContent))];
wanted.value = ""; wanted.dispatchEvent(new Event("change")); seen.all_aims = aims().length;
wanted.value = "recall 95 %"; wanted.dispatchEvent(new Event("change"));
seen.aims = [...new Set(aims().map((row) => row.cells[1].textContent))];
seen.overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
const regions = () => [...document.querySelectorAll(".scroll")].filter((each) => each.checkVisibility());
seen.wide = regions().map((each) => each.scrollWidth > each.clientWidth + 4);
seen.drawings = [...document.querySelectorAll("svg")].map((drawing) => drawing.getBoundingClientRect().height);
const colour = (element, name) => getComputedStyle(element)[name].match(/[\d.]+/g).slice(0, 3).map(Number);
const light = (rgb) => rgb.map((each) => each / 255)
  .map((share) => (share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4))
  .reduce((sum, each, place) => sum + each * [0.2126, 0.7152, 0.0722][place], 0);
seen.paper = colour(document.body, "backgroundColor");
const contrast = (element) => {
  const pair = [light(colour(element, "color")), light(seen.paper)].sort((one, other) => other - one);
  return (pair[0] + 0.05) / (pair[1] + 0.05);
};
seen.contrast = ["p", ".facts", "nav a", "h1", ".note", "td.number", ".quiet", "figcaption span", ".legend span"]
  .map((each) => [each, document.querySelector(each)])
  .filter(([, element]) => element).map(([each, element]) => [each, contrast(element)]);
for (const picture of document.images) picture.loading = "eager";
addEventListener("load", () => {
  seen.pictures = [...document.images].map((picture) => [picture.naturalWidth, picture.offsetWidth]);
  const inside = (box, frame) => box.left >= frame.left - 3 && box.right <= frame.right + 3 && box.width > 1;
  seen.strips = [...document.querySelectorAll(".clip")].map((clip) => ({
    lines: [...clip.querySelectorAll("svg")].map((line) => line.getBoundingClientRect().width / clip.offsetWidth),
    legend: clip.querySelectorAll(".legend span").length,
    boxes: [...clip.querySelectorAll(".frame i")].every((box) =>
      inside(box.getBoundingClientRect(), box.parentNode.getBoundingClientRect())),
  }));
  seen.fetched = performance.getEntriesByType("resource").map((entry) => entry.name);
  seen.more = regions().map((each) => each.classList.contains("more"));
  const result = document.createElement("pre");
  result.id = "probe";
  result.textContent = JSON.stringify(seen);
  document.body.append(result);
});
</script>"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (Debian: apt-get install chromium)"),
]


def probed(page: str, folder: Path, *flags: str) -> dict[str, Any]:
    """What the probe saw when `page` was opened from disk."""
    path = folder / "report.html"
    path.write_text(page.replace("<style>", LISTEN + "<style>", 1).replace("</body>", PROBE + "</body>"))
    command = [str(CHROMIUM), *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    found = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout.decode(), flags=re.DOTALL)
    assert found, "the probe did not finish"
    seen: dict[str, Any] = json.loads(unescape(found[1]))
    return seen


def test_sorting_filtering_and_silence(make_run: Callable[..., RunDirectory], tmp_path: Path) -> None:
    run = make_run(narrow_head=True)
    seen = probed(render_report(run).html, tmp_path)
    supports = [row["support"] for row in run.read_metrics()["blends"]["mean"]["per_class"].values()]
    assert len(set(supports)) > 1
    assert (seen["falling"], seen["falling_state"]) == (sorted(supports, reverse=True), "descending")
    assert (seen["rising"], seen["rising_state"]) == (sorted(supports), "ascending")
    assert (seen["names"], seen["cleared_state"]) == (sorted(run.read_labels().classes), "none")
    assert (seen["all"], seen["filtered"], seen["none"], seen["again"]) == (9, 1, 0, 9)
    assert seen["note"] == "1 of 9 rows"
    assert seen["errors"] == []
    assert seen["fetched"] == []
    assert seen["overflow"] <= 0
    assert min(seen["drawings"]) > 50

    assert seen["aims_at_first"] == ["precision 90 %"]
    assert (seen["all_aims"], seen["aims"]) == (9 * 6, ["recall 95 %"])


@pytest.fixture(scope="module")
def pictured(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of heads that were really trained, with pictures of clips of which the store knows boxes."""
    folder = tmp_path_factory.mktemp("pictured")
    deer = np.random.default_rng(3).integers(0, 2, 60).astype(np.uint8)
    labels = np.stack([1 - deer, deer], axis=1)
    store, ids = make_store(folder / "store", labels, boxes=True), clip_ids(60)
    table = pd.DataFrame({"filename": ids, "site": sites_of(ids), "blank": labels[:, 0], "deer": labels[:, 1]})
    table.to_csv(folder / "labels.csv", index=False)
    write_indexed_clip(folder / "one.mp4", 12, 1.0)
    for clip_id in ids:
        path = folder / "videos" / clip_id
        path.parent.mkdir(parents=True, exist_ok=True)
        path.hardlink_to(folder / "one.mp4")
    settings: dict[str, Any] = {"dense_units": (8,), "metadata": (), "batch_clips": 16, "epochs": 6, "queries": 0}
    head = HeadConfig(**settings, kind="deviation", statistics=("deviation",), learning_rate=0.02)
    run = RunDirectory(folder / "run")
    train_run(store, folder / "labels.csv", run, Recipe(folds=3, heads=(head,)))
    blend_run(run, most_clips_for_trees=0)
    return render_report(run, store, folder / "videos").html


@pytest.mark.parametrize("width", [500, 1400])
@pytest.mark.parametrize(("scheme", "paper"), [("light", [253, 253, 251]), ("dark", [23, 25, 22])])
def test_a_page_with_pictures(pictured: str, tmp_path: Path, width: int, scheme: str, paper: list[int]) -> None:
    wanted = f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}"
    seen = probed(pictured, tmp_path, f"--window-size={width},900", wanted)
    assert seen["paper"] == paper
    assert seen["errors"] == []
    assert seen["fetched"] == []
    assert seen["overflow"] <= 0
    assert (seen["falling"], seen["rising"]) == (sorted(seen["falling"])[::-1], sorted(seen["falling"]))
    assert (seen["all"], seen["none"], seen["again"]) == (2, 0, 2)
    assert len(seen["pictures"]) >= 16
    for natural, drawn in seen["pictures"]:
        assert natural == 64
        assert drawn > 60
    for strip in seen["strips"]:
        assert strip["lines"] == pytest.approx([1.0, 1.0], abs=0.02)
        assert strip["legend"] == 1
        assert strip["boxes"]
    assert pictured.count("<i style=") > 10
    assert {name for name, _ in seen["contrast"]} >= {"p", ".note", ".quiet", ".legend span", "figcaption span"}
    assert [(name, ratio) for name, ratio in seen["contrast"] if ratio < 4.5] == []


def test_a_narrow_dark_window(make_run: Callable[..., RunDirectory], tmp_path: Path) -> None:
    seen = probed(
        render_report(make_run()).html, tmp_path, "--window-size=500,900", "--blink-settings=preferredColorScheme=0"
    )
    assert seen["overflow"] <= 0
    assert seen["errors"] == []
    assert any(seen["wide"])
    assert seen["more"] == seen["wide"]  # what can be scrolled to is seen to be there
