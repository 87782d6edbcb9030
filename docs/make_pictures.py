"""Makes the pictures of the documentation out of the demo: `python docs/make_pictures.py DEMO_FOLDER`.

It needs Chromium, and a folder that `trapline demo` has filled.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

_PICTURES = Path(__file__).with_name("pictures")
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_COLOURS = 64


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
        _PICTURES.mkdir(exist_ok=True)
        with Image.open(shot) as picture:
            picture.convert("RGB").quantize(_COLOURS).save(_PICTURES / f"{name}.png", optimize=True)


def main(demo: Path) -> None:
    """Make every picture."""
    picture_page(demo / "run" / "report.html", "report", width=1200, height=760)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
