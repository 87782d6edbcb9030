"""What every test may use."""

import gc
import os
from pathlib import Path

# Tests run side by side on the processors there are: a network of eight units has nothing for further threads to do.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
# Networks that tests compile are kept for other tests, and for the next run, not in the folder of the user.
os.environ.setdefault("TRAPLINE_CACHE", str(Path(__file__).parents[1] / ".pytest_cache" / "trapline"))

import pytest
from hypothesis import settings

# On a busy machine an example can take any time; tests that mean a time say so themselves.
settings.register_profile("trapline", deadline=None)
settings.load_profile("trapline")
# Networks and graphs are made of very many objects that stay: garbage is looked for less often than every 700 of them.
gc.set_threshold(20_000, 5, 5)

_REAL_DATA = Path(os.environ.get("TRAPLINE_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real clips, or a skip with the reason where it is missing."""
    if not (_REAL_DATA / "README.md").is_file():
        pytest.skip(f"no real clips at {_REAL_DATA}; set TRAPLINE_DATA to their folder")
    return _REAL_DATA


def pytest_collection_finish() -> None:
    """No garbage is looked for in what was imported: libraries of a million objects, which stay to the end."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share a fixture of their module on one worker, where it is made once; others go anywhere.

    Tests of a group that a module names itself come one after the other, however many workers there are.
    """
    groups = {item: f"{item.path} {mark.args[0]}" for item in items if (mark := item.get_closest_marker("xdist_group"))}
    for item in items:
        fixtures = item._fixtureinfo.name2fixturedefs.values() if hasattr(item, "_fixtureinfo") else ()
        shared = any(each.scope == "module" for several in fixtures for each in several)
        if shared and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.as_posix()))
    places: dict[str, int] = {}
    items.sort(key=lambda item: places.setdefault(groups.get(item, item.nodeid), len(places)))
