"""What the code can give as the reason of a clip, read out of its source: the fixed words of each sentence."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PLACES = ("featurize/decoding", "featurize/pipeline")
_GIVES = re.compile(
    r"^_?(why\w*|judge|obstacle|shorter_than_stated|unforeseen|undecodable|no_sound|no_frames|find_damage)$"
)
_HOLDS = re.compile(r"^_?(why|reason|reasons|obstacle|NO_DURATION|UNREACHED|begins|ends)$")
_SHORTEST = 12  # letters: less is a joint between the parts of a sentence


def fixed_words(root: Path) -> dict[str, str]:
    """The longest fixed part of each sentence, and the module that holds it."""
    found: dict[str, str] = {}
    for place in PLACES:
        for path in sorted((root / place).rglob("*.py")):
            for node in _sentences(ast.parse(path.read_text(encoding="utf-8"))):
                words = max((" ".join(part.split()) for part in _parts(node)), key=len, default="")
                if len(words) >= _SHORTEST and " " in words:
                    found.setdefault(words.strip(" ;:("), path.relative_to(root).as_posix())
    return found


def _sentences(tree: ast.Module) -> Iterator[ast.expr]:
    """Every string that is given by a function, bound to a name or handed to a call that is of reasons."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and _GIVES.match(node.name):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and inner.value is not None:
                    yield from _strings(inner.value)
        elif isinstance(node, ast.Assign) and any(
            isinstance(to, ast.Name) and _HOLDS.match(to.id) for to in node.targets
        ):
            yield from _strings(node.value)
        elif isinstance(node, ast.Call):
            called = node.func.id if isinstance(node.func, ast.Name) else ""
            if _GIVES.match(called):
                yield from (each for argument in node.args[:1] for each in _strings(argument))
            yield from (each for word in node.keywords if word.arg == "reason" for each in _strings(word.value))


def _strings(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        yield node
    elif isinstance(node, (ast.IfExp, ast.BoolOp, ast.Tuple)):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                yield from _strings(child)


def _parts(node: ast.expr) -> Iterator[str]:
    """The fixed parts of a string, split where a number or name is put in."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    for part in parts:
        if isinstance(part, ast.Constant):
            yield str(part.value)
