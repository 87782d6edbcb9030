"""The examples of docs/extending.md as if somebody had saved them: a new file, and its row in a table."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
_BLOCK = re.compile(r"```python\n# (\S+)\.py(?:, a row of (\w+))?\n(.*?)```", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of the page: the module that its first line names, the table in it that it is a row of, and the rest."""

    module: str
    table: str
    code: str


def titles() -> list[str]:
    """The sections of the page that have examples."""
    return [title for title, text in _sections().items() if _BLOCK.search(text)]


def blocks(title: str) -> tuple[Block, Block]:
    """The file and the row of a section."""
    found = _BLOCK.findall(_sections()[title])
    file, row = (Block(module=path.replace("/", "."), table=table, code=code) for path, table, code in found)
    return file, row


def install(title: str, patch: pytest.MonkeyPatch) -> ModuleType:
    """Add the file and the row of a section, for as long as `patch` lasts; gives the file's module."""
    file, row = blocks(title)
    module = ModuleType(file.module)
    patch.setitem(sys.modules, file.module, module)
    exec(compile(file.code, file.module, "exec"), module.__dict__)
    _add_row(row, patch)
    return module


def _sections() -> dict[str, str]:
    parts = re.split(r"^## (.+)\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _add_row(row: Block, patch: pytest.MonkeyPatch) -> None:
    """Evaluate a row among the names of its table's module, after the imports above it, and add it to the table."""
    registry = import_module(row.module)
    imports, code = row.code.rpartition("\n\n")[::2]
    names: dict[str, Any] = dict(registry.__dict__)
    exec(imports, names)
    table = getattr(registry, row.table)
    if not isinstance(table, Mapping):
        patch.setattr(registry, row.table, (*table, eval(code, names)))
        return
    if code.startswith('"'):
        added = eval(f"{{{code}}}", names)
    else:  # the table is made out of a list of rows that tell their names
        row_itself = eval(code, names)
        added = {row_itself.name: row_itself}
    if isinstance(table, dict):
        for name, each in added.items():
            patch.setitem(table, name, each)
    else:
        patch.setattr(registry, row.table, {**table, **added})
