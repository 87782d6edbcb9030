"""What `pip install` of the wheel puts on a machine is enough."""

import hashlib
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOOK = """
import heads.recipe, featurize.cli, trapline.cli, store.cli
from importlib import resources
from pathlib import Path
where = Path(heads.__file__).parents[1]
assert heads.recipe.load_recipe(None).heads
for name in ("demo", "third_place"):
    assert heads.recipe.builtin_recipe(name).is_relative_to(where), heads.recipe.builtin_recipe(name)
for name in ("template.html", "palette.css", "style.css", "script.js"):
    assert resources.files("heads.report").joinpath(name).is_file(), name
for name in ("page.html", "review.css", "review.js"):
    assert resources.files("heads.review").joinpath(name).is_file(), name
print(where)
"""


def build(into: Path) -> Path:
    command = [*(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")]
    subprocess.run([*command, "--wheel-dir", str(into), str(ROOT)], check=True, env={**os.environ, "PIP_NO_INDEX": "1"})
    (wheel,) = into.glob("*.whl")
    return wheel


@pytest.mark.slow
def test_the_source_distribution_is_the_same_each_time_and_can_be_built_from(tmp_path: Path) -> None:
    code = "import sys, hatchling.build; hatchling.build.build_sdist(sys.argv[1])"
    made = []
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], cwd=ROOT, check=True, capture_output=True)
        made += (tmp_path / name).glob("*.tar.gz")
    assert len(made) == 2
    assert made[0].read_bytes() == made[1].read_bytes()
    with tarfile.open(made[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "CITATION.cff", "README.md", "pyproject.toml", "configs/default.yaml", "store/cli.py"} <= names
    assert not [name for name in names if name.startswith((".venv", ".pytest_cache", "demo/", "site/"))]


@pytest.mark.slow
def test_the_wheel_is_the_same_each_time_and_whole(tmp_path: Path) -> None:
    first, second = build(tmp_path / "1"), build(tmp_path / "2")
    assert len({hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in (first, second)}) == 1
    with zipfile.ZipFile(first) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
        archive.extractall(tmp_path / "installed")
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "License-Expression: MIT" in metadata
    assert "# Trapline" in metadata  # the README is what an index shows
    assert not [name for name in names if name.startswith("tests")]
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()) == tmp_path / "installed"
