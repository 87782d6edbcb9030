"""What the folders of runs are called that come one after the other."""

import re
from pathlib import Path

_NUMBERED = re.compile(r"(?P<name>.+)\.r(?P<number>\d+)")


def next_folder(path: Path) -> Path:
    """The folder of the run that comes after the one at `path`: its name with `.r2` behind it, or the next number."""
    whole = path.absolute()
    found = _NUMBERED.fullmatch(whole.name)
    name, number = (found["name"], int(found["number"])) if found else (whole.name, 1)
    while True:
        number += 1
        after = whole.with_name(f"{name}.r{number}")
        if not after.exists():
            return after


def first_folder(store_root: Path) -> Path:
    """The folder of the first run of a store: beside it, with `.run` behind its name."""
    whole = store_root.absolute()
    first = whole.with_name(f"{whole.name}.run")
    return next_folder(first) if first.exists() else first
