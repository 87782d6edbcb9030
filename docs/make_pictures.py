"""Makes the pictures of the documentation out of the demo: `python docs/make_pictures.py DEMO_FOLDER`.

It needs Chromium, and a folder that `trapline demo` has filled; it decides some of its clips, and trains again there.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))

from browser import Browser, browsing

from featurize.demo.scenes import Scene, Visit, draw_clip, write_video

_PICTURES = Path(__file__).with_name("pictures")
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_COLOURS = 64
_SIZE = {"width": 480, "height": 270}


def picture_page(page: Path, name: str, *, width: int, height: int) -> None:
    """Write the first `height` pixels of an HTML page, `width` wide, to docs/pictures/`name`.png.

    Raises:
        SystemExit: there is no browser.
    """
    browser = next((path for each in _BROWSERS if (path := shutil.which(each))), None)
    if browser is None:
        sys.exit(f"no browser found, expected one of {', '.join(_BROWSERS)}")
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        flags = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},{height}")
        command = [
            browser,
            *flags,
            f"--user-data-dir={folder}/profile",
            f"--screenshot={shot}",
            page.resolve().as_uri(),
        ]
        subprocess.run(command, check=True, capture_output=True)
        _keep(shot, name)


def picture_views() -> None:
    """Make the contact sheets of a drawn animal that rests all through its clip, as two views see it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "clips").mkdir()
        empty = Scene(site=5, infrared=False, visits=(), seed=0)
        lying = Visit(species="pig", start=0.0, stop=1.0, from_x=0.62, to_x=0.6201, ground=0.8, size=0.16)
        (bare,), (shown,) = (
            list(draw_clip(replace(empty, visits=visits), frames=1, **_SIZE)) for visits in ((), (lying,))
        )
        animal = shown.astype(np.int16) - bare
        for seed in range(8):
            frames = draw_clip(replace(empty, seed=seed), frames=60, **_SIZE)
            if not seed:
                frames = (np.clip(frame + animal, 0, 255).astype(np.uint8) for frame in frames)
            write_video(folder / "clips" / f"IMG_{seed:04d}.mp4", frames, fps=4.0)
        for view in ("motion", "animal"):
            words = ["--view", view, "--frames", "6", "--choose", "even", "--preview", str(folder / view)]
            command = [sys.executable, "-c", "from featurize.cli import main; main()", str(folder / "clips"), *words]
            subprocess.run(command, check=True, capture_output=True)
            _keep(folder / view / "IMG_0000.mp4.jpg", f"view-{view}")


def picture_review(demo: Path) -> None:
    """Make the pictures of the review page: on a desk, on a telephone, and after training again."""
    words = ["review", "--run", str(demo / "run"), "--store", str(demo / "store"), "--port", "0", "--user", "ann"]
    command = [sys.executable, "-c", "from heads.cli import main; main()", *words, "--clips", str(demo / "clips")]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
        browsing(Path(folder) / "profile") as browser,
    ):
        try:
            found = re.search(r"http://\S+", server.stdout.readline() if server.stdout else "")
            if found is None:
                sys.exit("heads review did not start")
            browser.resize(1280, 800)
            browser.open(found[0])
            browser.wait("location.search === '' && document.body?.dataset.shown", 120)
            _choose(browser, "suspects")
            shot = Path(folder) / "shot.png"
            browser.press(".")
            browser.wait("document.getElementById('moment').textContent.endsWith('counts most')")
            browser.picture(shot)
            _keep(shot, "review")
            browser.resize(360, 740, dark=True)
            browser.wait("innerWidth === 360")
            browser.press(".")
            browser.picture(shot)
            _keep(shot, "review-phone")
            browser.resize(1280, 800)
            _choose(browser, "order")
            for number in range(12):
                before = browser.look("document.body.dataset.shown")
                browser.press("Enter" if number % 3 else "u")
                if browser.look("document.getElementById('said').textContent.startsWith('Nothing')"):
                    browser.press("s")
                browser.wait(f"document.body.dataset.shown !== {before!r}")
            browser.click("#retrain-open")
            browser.click("#retrain-start")
            browser.wait("document.body.dataset.training === 'done'", 600)
            browser.picture(shot)
            _keep(shot, "review-retrained")
        finally:
            server.terminate()


def _choose(browser: Browser, queue: str) -> None:
    before = browser.look("performance.now()")
    browser.look(
        f"(() => {{ const e = document.getElementById('queue'); e.value = {queue!r};"
        " e.dispatchEvent(new Event('change')); return true; })()"
    )
    browser.wait(f"performance.now() > {before} + 1000 && document.getElementById('name').textContent")


def _keep(shot: Path, name: str) -> None:
    _PICTURES.mkdir(exist_ok=True)
    with Image.open(shot) as picture:
        picture.convert("RGB").quantize(_COLOURS).save(_PICTURES / f"{name}.png", optimize=True)


def main(demo: Path) -> None:
    """Make every picture."""
    picture_views()
    picture_page(demo / "run" / "report.html", "report", width=1200, height=760)
    picture_review(demo)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
