"""Where each command begins: Ctrl-C ends it quietly from its imports on."""

import sys
from importlib import import_module


def featurize() -> None:
    """The `featurize` command."""
    _run("featurize.cli")


def heads() -> None:
    """The `heads` command."""
    _run("heads.cli")


def store() -> None:
    """The `store` command."""
    _run("store.cli")


def trapline() -> None:
    """The `trapline` command."""
    _run("trapline.cli")


def _run(module: str) -> None:
    try:
        import_module(module).main()
    except KeyboardInterrupt:
        sys.exit(130)  # as shells have it for Ctrl-C
