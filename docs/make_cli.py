"""Writes docs/cli.md out of the commands themselves: `python docs/make_cli.py`. A test holds the two together."""

from pathlib import Path
from typing import Any

import typer.main

import featurize.cli
import heads.cli
import store.cli
import trapline.cli

_PAGE = Path(__file__).with_name("cli.md")
APPS = {
    "featurize": featurize.cli.app,
    "featurize weights": featurize.cli.weights_app,
    "heads": heads.cli.app,
    "store": store.cli.app,
    "trapline": trapline.cli.app,
}
_HEAD = """# Commands

Written by `python docs/make_cli.py` from the commands' own help. Results go to stdout, progress and notes to stderr; a
mistake gets one sentence. Exit codes: 0 done, 1 a mistake that the sentence names, 2 words that the command does not
know, 3 done but some clips failed (they are listed), 130 stopped by Ctrl-C with everything saved.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(_program(name, typer.main.get_command(app)) for name, app in APPS.items())])


def _program(name: str, command: Any) -> str:
    """A program with its commands."""
    commands = getattr(command, "commands", {})
    parts = [f"## `{name}`\n"]
    if not commands:
        return "\n".join([*parts, _command(name, command)])
    parts.append(f"{_text(command.help)}\n")
    for each in commands.values():
        parts += [f"### `{name} {each.name}`\n", _command(f"{name} {each.name}", each)]
    return "\n".join(parts)


def _command(title: str, command: Any) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option"]
    words = " ".join([each.name.upper() + ("..." if each.nargs == -1 else "") for each in arguments])
    lines = [f"{_text(command.help)}\n", "```console", f"$ {title} {words} [OPTIONS]".replace("  ", " "), "```\n"]
    lines += ["| option | default | what it does |", "|---|---|---|"]
    lines += [_row(each) for each in [*arguments, *options]]
    return "\n".join([*lines, ""])


def _row(param: Any) -> str:
    words = [*param.opts, *param.secondary_opts] if param.param_type_name == "option" else [param.name]
    return f"| {', '.join(f'`{each}`' for each in words)} | {_default(param)} | {_text(param.help)} |"


def _default(param: Any) -> str:
    if param.required:
        return "must be given"
    shown = getattr(param, "show_default", None)
    if isinstance(shown, str):
        return shown
    if param.default is None or param.default == () or param.default is False:
        return ""
    values = param.default if isinstance(param.default, list | tuple) else [param.default]
    return " ".join(str(getattr(each, "value", each)) for each in values)


def _text(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    _PAGE.write_text(page(), encoding="utf-8")
