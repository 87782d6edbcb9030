"""Documents that say what the code says are held to it."""

import doctest
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

import featurize.cli
import heads.cli
import heads.recipe.settings
import store.cli
import store.featurestore
import store.key
import store.records

ROOT = Path(__file__).parents[1]


def script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_commands_is_what_the_commands_say() -> None:
    made = script(ROOT / "docs" / "make_cli.py").page()
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == made, "run `python docs/make_cli.py`"
    for name in ("--frame-scores", "--clips-per-part", "--unused-days"):
        assert f"| `{name}` |" in made


def test_every_option_of_every_command_says_what_it_does() -> None:
    page = script(ROOT / "docs" / "make_cli.py").page()
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 80
    assert [row for row in rows if len(row) != 3 or len(row[2].rstrip(" |")) < 8] == []


@pytest.mark.parametrize("package", [store, featurize, heads], ids=lambda package: package.__name__)
def test_every_public_name_has_an_example(package: ModuleType) -> None:
    assert len(package.__all__) > 6
    assert [name for name in package.__all__ if "Example:" not in (getattr(package, name).__doc__ or "")] == []


@pytest.mark.parametrize(
    "module", [store.records, store.key, store.featurestore, heads.recipe.settings], ids=lambda module: module.__name__
)
def test_examples_in_docstrings_are_true(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 1
    assert found.failed == 0


def test_help_of_every_command_can_be_read() -> None:
    for app in (featurize.cli.app, heads.cli.app, store.cli.app):
        done = CliRunner().invoke(app, ["--help"], catch_exceptions=False)
        assert done.exit_code == 0
        assert "Usage" in done.output
