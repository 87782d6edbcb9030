"""Surroundings of clusters that tests start: nothing of the user's is read or written."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parent
# Ray reads its token once a process, so that all clusters of one must have the same.
TOKEN = "0123456789abcdef" * 4


@contextmanager
def ray_home() -> Iterator[Path]:
    """A home of its own, as short as sockets want it, for this process and all that it starts."""
    home = Path(tempfile.mkdtemp(prefix="tl-"))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH"):
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(home))
        patch.setenv("RAY_TMPDIR", str(home))
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", TOKEN)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")]))
        yield home
    shutil.rmtree(home, ignore_errors=True)
