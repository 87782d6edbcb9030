"""Documents that say what the code says are held to it."""

import doctest
import importlib.util
import pkgutil
import re
import shlex
import subprocess
import sys
import tomllib
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
import reasons
import typer.main
from pydantic import BaseModel
from typer.testing import CliRunner

import featurize.cli
import heads.cli
import heads.recipe.settings
import store.cli
import store.featurestore
import store.key
import store.records
from heads.data.class_names import BLANK_WORDS
from heads.data.tables import EMPTY_WORDS, ID_COLUMNS
from heads.recipe import HeadConfig, Recipe
from heads.recipe.describe import descriptions
from heads.recipe.kinds import HEAD_KINDS

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


def test_parts_of_pages_that_the_code_says_are_up_to_date() -> None:
    for path, made in script(ROOT / "docs" / "make_sections.py").pages().items():
        assert path.read_text(encoding="utf-8") == made, "run `python docs/make_sections.py`"


@pytest.mark.parametrize("model", [HeadConfig, Recipe])
def test_every_setting_of_a_recipe_says_what_it_is(model: type[BaseModel]) -> None:
    told = descriptions(model)
    assert list(told) == list(model.model_fields), "`Attributes:` lists the fields, in their order"
    assert [name for name, text in told.items() if len(text) < 15] == []
    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    for name, text in told.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` | `")]
        assert text[1:].rstrip(".") in row


def test_a_setting_tells_which_kinds_of_heads_take_it() -> None:
    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8").partition("<!-- made: head -->")[2]
    rows = {line.split("`")[1]: line[2:-2].split(" | ") for line in page.splitlines() if line.startswith("| `")}
    assert rows["statistics"][3] == "`attention`, `recurrent`, `deviation`, `discriminant`"
    assert rows["tap_dropout"][3] == "`deviation`"
    assert rows["epochs"][3] == "all but `discriminant`"
    assert rows["competing"][1::2] == [
        "`false`; always `true` under `discriminant`",
        "all but `discriminant`, `finetuned`",
    ]
    for name, value in {"tap_dropout": 0.5, "epochs": 3, "queries": 2, "dense_units": (4,), "name": "a"}.items():
        told = re.findall(r"`(\w+)`", rows[name][3])
        for kind in HEAD_KINDS:
            taken = kind not in told if rows[name][3].startswith("all") else kind in told
            with nullcontext() if taken else pytest.raises(ValueError, match=f"{name}: .* has no use for it"):
                HeadConfig(**{"kind": kind, name: value})


@pytest.mark.parametrize("package", ["featurize", "heads", "store"])
def test_drawings_of_the_rooms_are_the_rules_of_imports(package: str) -> None:
    """Read back out of the drawing, not out of what draws it."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawing = page.partition(f"<!-- made: {package} -->")[2].partition("<!-- end -->")[0]
    floors = dict(re.findall(r'(f\d+)\["(.+)"\]', drawing))
    arrows = re.findall(r"(f\d+) --> (f\d+)", drawing)
    assert arrows == list(pairwise(floors))
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (rule,) = [each for each in settings["tool"]["importlinter"]["contracts"] if each.get("containers") == [package]]
    assert list(floors.values()) == rule["layers"]
    rooms = {
        path.stem for path in (ROOT / package).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert {room for floor in floors.values() for room in floor.split(" | ")} == rooms - {"__init__"}


def test_rooms_in_tables_are_rooms_and_every_room_but_errors_is_in_one() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for package in ("featurize", "heads", "store"):
        section = page.partition(f"## `{package}`\n")[2].partition("\n## ")[0]
        rows = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
        told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
        drawn = set(re.findall(r"\w+", " ".join(re.findall(r'\["(.+)"\]', section))))
        assert told == drawn - {"errors"}


def test_everything_that_a_page_names_by_its_module_is_there() -> None:
    named = {}
    for path in pages():
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"`((?:featurize|heads|store)\.[A-Za-z_][\w.]*)(?:\(.*?\))?`", text):
            named.setdefault(name, path.name)
    assert len([name for name, page in named.items() if page == "architecture.md"]) > 40
    assert [f"{page}: {name}" for name, page in named.items() if not is_there(name)] == []


def test_every_file_of_the_code_that_a_page_names_is_there() -> None:
    named = {
        (path.name, name)
        for path in pages()
        for name in re.findall(
            r"(?<![\w/.])((?:featurize|heads|store|tests|benchmarks|configs|docs)/[\w/]+(?:\.(?:py|md|yaml)|/))(?![\w<])",
            re.sub(r"```python.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL),
        )
    }
    assert len(named) > 15
    assert sorted(f"{page}: {name}" for page, name in named if not (ROOT / name).exists()) == []


def test_the_readme_is_for_ten_minutes_and_its_links_lead_somewhere() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 130
    links = re.findall(r"\]\(([^)#]+)", readme)
    assert len(links) > 15
    assert [link for link in links if "://" not in link and not (ROOT / link).is_file()] == []


def test_every_command_and_option_that_a_page_shows_is_there() -> None:
    known: dict[str, set[str]] = {}
    for name, app in script(ROOT / "docs" / "make_cli.py").APPS.items():
        command = typer.main.get_command(app)
        for each in [command, *getattr(command, "commands", {}).values()]:
            title = name if each is command else f"{name} {each.name}"
            known[title] = {word for param in each.params for word in [*param.opts, *param.secondary_opts]}
    shown = []
    for path in pages():
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(r"^\$ ((?:featurize|heads|store|trapline) .*)$", text, flags=re.MULTILINE):
            words = shlex.split(line, comments=True)
            title = words[0] if words[0] == "featurize" and words[1] != "weights" else " ".join(words[:2])
            options = {word for word in words if word.startswith("--")}
            shown.append(title)
            if path.name != "cli.md":
                assert options <= known[title], f"{path.name}: {line}"
    assert len(shown) > 30


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "First afternoon" in page or "first afternoon" in page
    fetched = re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="(https?://[^"]+)"', page)
    assert [url for url in fetched if "canonical" not in url] == []


def pages() -> list[Path]:
    """Pages about the code as it is; experiments are dated, and stay as they were."""
    return [*ROOT.glob("*.md"), *(path for path in (ROOT / "docs").glob("*.md") if path.name != "experiments.md")]


def is_there(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def test_the_page_of_statuses_names_every_reason_that_the_code_can_give() -> None:
    page = " ".join((ROOT / "docs" / "statuses.md").read_text(encoding="utf-8").split())
    found = reasons.fixed_words(ROOT)
    assert len(found) > 20
    assert {words: place for words, place in found.items() if words not in page} == {}


def test_the_page_of_statuses_names_every_status_origin_and_exit_code() -> None:
    page = (ROOT / "docs" / "statuses.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `?([\w ]+?)`? \|", page, flags=re.MULTILINE)
    statuses = page.partition("## Statuses")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", statuses, flags=re.MULTILINE) == [
        status.value for status in store.records.Status
    ]
    origins = page.partition("Column `origin`")[2]
    code = (ROOT / "heads" / "workflows" / "answers" / "predict.py").read_text(encoding="utf-8")
    told = re.findall(r'^    [A-Z_]+ = "([a-z ]+)"$', code, flags=re.MULTILINE)
    assert len(told) == 3
    assert re.findall(r"^\| `([\w ]+)` \|", origins, flags=re.MULTILINE) == told
    codes = {
        number
        for place in ("featurize", "heads", "store")
        for path in (ROOT / place).rglob("*.py")
        for number in re.findall(
            r"^_?EXIT_\w+ = (\d+)\b|exit\((\d+)\)", path.read_text(encoding="utf-8"), flags=re.MULTILINE
        )
    }
    assert {found for pair in codes for found in pair if found} | {"0", "2"} == {row for row in rows if row.isdigit()}


def test_the_page_of_tables_names_what_the_reader_knows() -> None:
    page = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    known = {*ID_COLUMNS, *BLANK_WORDS, *EMPTY_WORDS} - {"-nan"}
    assert sorted(word for word in known if f"`{word}`" not in page) == []
