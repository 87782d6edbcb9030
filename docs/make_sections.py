"""Writes the parts of pages that the code says: `python docs/make_sections.py`. A test holds the two together.

A part lies between `<!-- made: NAME -->` and `<!-- end -->`; what is around it is written by hand.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from heads.recipe import HeadConfig, Recipe
from heads.recipe.describe import descriptions
from heads.recipe.kinds import HEAD_KINDS
from heads.report.glossary import WORDS

_DOCS = Path(__file__).parent


def pages() -> dict[Path, str]:
    """The pages that have such parts, with the parts as they should be."""
    sections = {"recipe": _recipe(), "head": _head(), "words": _words(), **_drawings()}
    return {_DOCS / name: _filled(_DOCS / name, sections) for name in ("architecture.md", "glossary.md", "recipes.md")}


def layers(package: str) -> list[list[str]]:
    """The floors of a package, the highest first, with the rooms on each."""
    settings = tomllib.loads((_DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (found,) = [each["layers"] for each in contracts if each.get("containers") == [package]]
    return [[room.strip() for room in floor.split("|")] for floor in found]


def _filled(path: Path, sections: dict[str, str]) -> str:
    return re.sub(
        r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}{sections[match[2]]}{match[3]}",
        path.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )


def _recipe() -> str:
    told = descriptions(Recipe)
    rows = [f"| `{name}` | {_value(_default(Recipe, name))} | {_cell(told[name])} |" for name in Recipe.model_fields]
    return "\n".join(["| setting | default | what it is |", "|---|---|---|", *rows, ""])


def _words() -> str:
    return "\n\n".join(f"**{word}**: {meaning}" for word, meaning in WORDS.items()) + "\n"


def _head() -> str:
    told = descriptions(HeadConfig)
    rows = [
        f"| `{name}` | {_defaults(name)} | {_cell(told[name])} | {_takers(name)} |" for name in HeadConfig.model_fields
    ]
    return "\n".join(["| setting | default | what it is | kinds that take it |", "|---|---|---|---|", *rows, ""])


def _defaults(name: str) -> str:
    """The default of a setting, and those of kinds that have one of their own."""
    own = [
        f"{'' if row.takes(name) else 'always '}{_value(row.defaults[name])} under `{kind}`"
        for kind, row in HEAD_KINDS.items()
        if name in row.defaults
    ]
    return "; ".join([_value(_default(HeadConfig, name)), *own])


def _takers(name: str) -> str:
    taking = [f"`{kind}`" for kind, row in HEAD_KINDS.items() if row.takes(name)]
    others = [f"`{kind}`" for kind, row in HEAD_KINDS.items() if not row.takes(name)]
    if not others:
        return "all"
    return f"all but {', '.join(others)}" if len(others) < len(taking) else ", ".join(taking)


def _default(model: type[BaseModel], name: str) -> Any:
    return model.model_fields[name].default


def _value(value: Any) -> str:
    """A default as YAML has it."""
    if isinstance(value, tuple):
        inner = [_plain(each) for each in value]
        return f"`[{', '.join(inner)}]`"
    return f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    if isinstance(value, BaseModel):
        return "{}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return '""' if value == "" else str(value)


def _cell(text: str) -> str:
    return (text[0].upper() + text[1:]).rstrip(".").replace("|", "\\|") + "."


def _drawings() -> dict[str, str]:
    return {package: _drawing(layers(package)) for package in ("featurize", "heads", "store")}


def _drawing(floors: list[list[str]]) -> str:
    """Floors below each other, each with its rooms; an arrow says that a floor may import all below it."""
    lines = ["```mermaid", "flowchart TB"]
    names = [" | ".join(floor) for floor in floors]
    lines += [f'    f{number}["{name}"]' for number, name in enumerate(names)]
    lines += [f"    f{number} --> f{number + 1}" for number in range(len(names) - 1)]
    return "\n".join([*lines, "```", ""])


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
