"""Names of parts, in the order of their making."""

import os
import re
import secrets
from pathlib import Path

from ulid import ULID

from store.errors import StoreReadError

_PART = re.compile(r"part-([0-9A-HJKMNP-TV-Z]{26})\.h5")
# A ULID is a time in milliseconds and 80 random bits: a merged part stays within the millisecond of its newest input.
_MERGE_GAP_BITS = 32
_ONE_MILLISECOND = 1 << 80


def list_parts(folder: Path) -> list[str]:
    """The names of the parts in `folder`, oldest first; none if the folder is not there.

    Raises:
        StoreReadError: the machine refused to list it.
    """
    return sorted(name for name in names_in(folder) if _PART.fullmatch(name))


def new_part_name(folder: Path) -> str:
    """A name for a part that is committed to `folder` now: it sorts after every part that is already there.

    A clock that runs behind (of another machine, or after a correction) must not make new rows older than the rows
    that they replace.
    """
    now = ULID()
    # Names are looked at from the last one on, since a store of many parts is asked for each new one.
    last = next((name for name in sorted(names_in(folder), reverse=True) if _PART.fullmatch(name)), None)
    newest = None if last is None else _ulid_of(last)
    return _name(now if newest is None or now > newest else ULID.from_int(int(newest) + _ONE_MILLISECOND))


def names_in(folder: Path) -> list[str]:
    """The names of all that is in a folder; none if it is not there."""
    try:
        return os.listdir(folder)  # noqa: PTH208  a store has thousands of parts: no Path for each
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreReadError(
            f"{folder}: could not be listed ({error.strerror}); restore access and try again"
        ) from error


def merged_part_name(newest_input: str) -> str:
    """A name for the merged rows of parts of which `newest_input` is the newest.

    It sorts directly after that part: before everything that was committed later, so that merging never makes a row
    newer than one that replaced it.
    """
    return _name(ULID.from_int(int(_ulid_of(newest_input)) + 1 + secrets.randbits(_MERGE_GAP_BITS)))


def _name(ulid: ULID) -> str:
    return f"part-{ulid}.h5"


def _ulid_of(part_name: str) -> ULID:
    match = _PART.fullmatch(part_name)
    if match is None:
        raise ValueError(f"{part_name!r} is not the name of a part")
    return ULID.from_str(match[1])
