"""The shell that all commands share: one-sentence errors, JSON on stdout, everything else on stderr."""

import contextlib
import importlib.util
import io
import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any, cast

from store.errors import TraplineError

if TYPE_CHECKING:
    import typer
    from rich.console import Console

_UNWRAPPED = 1000


def run(app: "typer.Typer") -> None:
    """Run a Typer application: a TraplineError becomes one sentence on stderr and exit code 1."""
    _print_any_letter()
    try:
        app()
    except TraplineError as error:
        print(f"error: {error}", file=sys.stderr)
        for note in getattr(error, "__notes__", []):
            print(f"  {note}", file=sys.stderr)
        sys.exit(1)


def _print_any_letter() -> None:
    """Show letters that the console, or the file that output goes to, has no code for by their numbers."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not _is_unicode(stream):
            stream.reconfigure(errors="backslashreplace")


def _is_unicode(stream: Any) -> bool:
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")


def print_json(result: Any) -> None:
    """Print `result` to stdout as indented JSON; NaN is refused, since other tools cannot read it."""
    plain = not _is_unicode(sys.stdout)
    print(json.dumps(result, indent=2, ensure_ascii=plain, allow_nan=False))


def human_bytes(size: float) -> str:
    """`size` in the unit that reads best, decimal, as disks are sold."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if round(size, 1) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} PB"


def stdout_console() -> "Console":
    """A rich console on stdout, for results; in a file or a pipe rows of tables are neither wrapped nor filled up."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(markup=False, highlight=False)
    return Console(markup=False, highlight=False, width=_UNWRAPPED, file=cast("IO[str]", _Unfilled(sys.stdout)))


class _Unfilled:
    """A stream to which lines go without the blanks at their ends."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write whole lines."""
        return self._stream.write(re.sub(r" +(?=\n)", "", text))

    def __getattr__(self, name: str) -> Any:
        """What else the stream has."""
        return getattr(self._stream, name)


def stderr_console() -> "Console":
    """A rich console on stderr, for progress and logs."""
    from rich.console import Console

    return Console(stderr=True, markup=False)  # names of clips may hold brackets


def show_log() -> None:
    """Print to stderr what the three packages log, with tracebacks: what --verbose asks for."""
    logging.basicConfig(format="%(name)s: %(message)s", stream=sys.stderr)
    for package in ("store", "featurize", "heads"):
        logging.getLogger(package).setLevel(logging.DEBUG)


@contextlib.contextmanager
def native_chatter(*, shown: bool) -> Iterator[None]:
    """Drop what compiled libraries write to stderr past Python while they are imported, unless `shown`.

    TensorFlow's advice to programmers is dropped from then on. Python's own errors still come through as exceptions.
    """
    if shown:
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def human_seconds(seconds: float) -> str:
    """`seconds` as h:mm:ss, or as seconds where they are few."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def is_live(console: "Console") -> bool:
    """Whether what was printed can be replaced; in a notebook rich needs ipywidgets for it, and warns without."""
    if console.is_jupyter:
        return importlib.util.find_spec("ipywidgets") is not None
    return console.is_terminal
