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
    shown = subprocess.run(call, capture_output=True, text=True, check=True).stdout.splitlines()
    words = shlex.split(shown[-1])
    own = ["--clips", "my clips", "--labels", "my labels.csv", "--sites", "my sites.csv"] if videos else []
    assert words == [".venv/bin/trapline", "demo", "my demo", *own]
