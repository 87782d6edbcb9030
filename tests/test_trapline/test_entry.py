"""Commands end quietly when Ctrl-C is pressed before they have begun."""

import os
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

_SCRIPTS = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["scripts"]
# What is started in the background may have been told to ignore Ctrl-C.
_PRESSED_WHILE_IT_IS_IMPORTED = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.parametrize("name", sorted(_SCRIPTS))
def test_ctrl_c_while_a_command_is_imported_ends_it_quietly(name: str, tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text(_PRESSED_WHILE_IT_IS_IMPORTED)
    module, _, function = _SCRIPTS[name].partition(":")
    paths = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-c", f"from {module} import {function}; {function}()", "--help"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("name", sorted(_SCRIPTS))
def test_every_command_is_the_one_that_it_is_called(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr(f"{name}.cli.main", lambda: called.append(name))
    EntryPoint(name, _SCRIPTS[name], "console_scripts").load()()
    assert called == [name]
