"""Configuration: YAML files into strict, frozen models, with errors that name the place."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, to_json

from store.errors import ConfigError

_POWER = re.compile(r"([-+]?\d+)(\.\d*)?[eE]([-+]?)(\d+)")  # numbers that YAML 1.1 knows only with a point and a sign

_OF_YAMLS_CONSTRUCTORS = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)


class StrictModel(BaseModel):
    """Base of configuration models: unknown keys are errors, types are not guessed, values do not change."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


Model = TypeVar("Model", bound=BaseModel)


def load_yaml(path: Path, model: type[Model]) -> Model:
    """The configuration in the file at `path`, as an instance of `model`.

    Raises:
        ConfigError: the file cannot be read, is not YAML, or does not fit the model.
    """
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (yaml.YAMLError, *_OF_YAMLS_CONSTRUCTORS) as error:
        raise ConfigError(f"{path}: is not YAML: {' '.join(str(error).split())}; correct the file") from error
    return parse_settings({} if settings is None else settings, model, str(path))


def parse_settings(settings: Any, model: type[Model], where: str) -> Model:
    """`settings` (plain YAML or JSON values) as an instance of `model`; `where` names them in errors.

    Raises:
        ConfigError: they do not fit the model.
    """
    if not isinstance(settings, dict):
        raise ConfigError(f"{where}: expected a mapping of settings, received {settings!r}; write `name: value` lines")
    try:
        # Validated as JSON: there lists stand for tuples and strings for enums and paths, as in YAML, and nothing else
        # is converted.
        return model.model_validate_json(_as_json(settings, where))
    except ValidationError as error:
        problems = "; ".join(_sentence(problem) for problem in _innermost(error.errors()))
        raise ConfigError(f"{where}: {problems}") from error


def _as_json(settings: Mapping[str, Any], where: str) -> bytes:
    try:
        return to_json(settings)
    except (ValueError, RecursionError) as error:  # a list that holds itself, bytes, half a character
        raise ConfigError(
            f"{where}: holds something that is no setting ({error}); write numbers, words, lists and mappings only"
        ) from error


def _innermost(problems: list[ErrorDetails]) -> list[ErrorDetails]:
    """The problems without those of a whole of which some part is wrong: they come of the part's."""
    inside = {problem["loc"][:depth] for problem in problems for depth in range(len(problem["loc"]))}
    return [problem for problem in problems if problem["loc"] not in inside]


def _sentence(problem: ErrorDetails) -> str:
    """One validation problem as: dotted path, what is wrong, what was received, what to do."""
    place = ".".join(str(step) for step in problem["loc"]) or "the file"
    if problem["type"] == "extra_forbidden":
        return f"{place}: no such setting (received {problem['input']!r}); remove it or correct its name"
    if problem["type"] == "missing":
        return f"{place}: this setting is required; add it"
    if problem["type"] == "float_type" and (number := _POWER.fullmatch(str(problem["input"]))):
        digits, fraction, sign, power = number.groups()
        return f"{place}: YAML takes {number[0]} for text; write {digits}{fraction or '.0'}e{sign or '+'}{power}"
    return f"{place}: {problem['msg'].removeprefix('Value error, ')}, received {problem['input']!r}; change the value"
