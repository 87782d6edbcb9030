"""Configuration files: strict, and errors that say where."""

from pathlib import Path

import pytest

from store.config import StrictModel, load_yaml
from store.errors import ConfigError


class Schedule(StrictModel):
    epochs: int = 15
    rates: tuple[float, ...] = (1e-3, 1e-4)


class Recipe(StrictModel):
    name: str
    schedule: Schedule = Schedule()


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_fill_what_the_file_leaves_out(tmp_path: Path) -> None:
    assert load_yaml(write(tmp_path, "name: plain\n"), Recipe) == Recipe(name="plain")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: a\nschedule: {epoch: 3}\n", ["schedule.epoch", "no such setting", "3"]),
        ("name: a\nschedule: {epochs: '3'}\n", ["schedule.epochs", "integer", "'3'"]),
        ("schedule: {}\n", ["name", "required"]),
        ("", ["name", "required"]),
        ("- a\n- b\n", ["expected a mapping", "['a', 'b']"]),
        ("name: [unclosed\n", ["not YAML"]),
        ("name: 2020-01-01\nschedule: {rates: [x]}\n", ["schedule.rates.0", "'x'"]),
    ],
)
def test_errors_name_the_file_the_place_and_the_value(tmp_path: Path, text: str, words: list[str]) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_yaml(path, Recipe)
    for word in [str(path), *words]:
        assert word in str(caught.value)


def test_a_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_yaml(tmp_path / "absent.yaml", Recipe)


def test_models_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Recipe(name="a").name = "b"  # type: ignore[misc]
