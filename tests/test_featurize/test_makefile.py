"""`make demo` with a folder of any name."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("videos", [[], ["VIDEOS=my clips", "LABELS=my labels.csv", "SITES=my sites.csv"]])
def test_the_demo_s_folder_may_have_spaces_in_its_name(videos: list[str]) -> None:
    call = ["make", "--dry-run", "--no-print-directory", "--directory", str(ROOT), "demo", "DEMO=my demo", *videos]
    shown = subprocess.run(call, capture_output=True, text=True, check=True).stdout
    words = shlex.split(shown)
    assert {"my demo/store", "my demo/run"} <= set(words)
    assert {"my clips", "my labels.csv", "my sites.csv"} <= set(words) or not videos
    assert not {"my", "demo", "demo/store", "demo/run", "demo/labels.csv"} & set(words)
