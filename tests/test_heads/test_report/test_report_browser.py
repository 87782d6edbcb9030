"""The report in a real browser: a probe clicks, types and listens, and leaves what it saw in the page."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from heads.report import render_report
from heads.run import RunDirectory

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
PROBE = """<script>
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
seen.overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
seen.drawings = [...document.querySelectorAll("svg")].map((drawing) => drawing.getBoundingClientRect().height);
const result = document.createElement("pre");
result.id = "probe";
result.textContent = JSON.stringify(seen);
document.body.append(result);
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
    seen = probed(render_report(run), tmp_path)
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


def test_a_narrow_dark_window(make_run: Callable[..., RunDirectory], tmp_path: Path) -> None:
    seen = probed(
        render_report(make_run()), tmp_path, "--window-size=500,900", "--blink-settings=preferredColorScheme=0"
    )
    assert seen["overflow"] <= 0
    assert seen["errors"] == []
