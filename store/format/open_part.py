"""Opening a part: whatever is wrong with the file comes out as one error that names it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from store.errors import CorruptPartError, StoreError, StoreReadError

# Parts of features that are rounded to bytes are of the newest version, other ones that hold pictures of the second,
# and all others of the first.
WITH_PICTURES = 2
WITH_ROUNDED = 3
NEWEST_VERSION = WITH_ROUNDED
JPEG_START = b"\xff\xd8\xff"


@contextmanager
def open_part(path: Path, kind: str) -> Iterator[h5py.File]:
    """The part at `path`, opened for reading without HDF5's file locks (a part never changes).

    Args:
        path: the part.
        kind: what its `format` attribute must say.

    Raises:
        FileNotFoundError: it is gone, for instance merged by another process.
        CorruptPartError: it is not what the format promises.
        StoreReadError: the machine refused.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            _require_format(file, kind)
            yield file
    except (StoreError, FileNotFoundError) as error:
        if isinstance(error, CorruptPartError):
            raise CorruptPartError(f"{path}: {error}; run `store repair`, then the command that made it") from error
        raise
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise StoreReadError(f"{path}: could not be read ({error}); restore access and try again") from error
        raise CorruptPartError(
            f"{path}: is damaged ({error}); run `store repair`, then the command that made it"
        ) from error


def read_attribute(file: h5py.File, name: str) -> Any:
    """An attribute of the root group, None if it is not there; by h5py's lower level, as `read_column` does it."""
    if not h5py.h5a.exists(file.id, name.encode()):
        return None
    attribute = h5py.h5a.open(file.id, name.encode())
    if attribute.shape != ():
        return file.attrs[name]
    value = np.empty((), attribute.dtype)
    attribute.read(value)
    found = value.item()
    return found.decode() if isinstance(found, bytes) else found


def _require_format(file: h5py.File, kind: str) -> None:
    found, version = read_attribute(file, "format"), read_attribute(file, "format_version")
    if found != kind:
        raise CorruptPartError(f"its format is {found!r}, expected {kind!r}")
    if version is None or int(version) > NEWEST_VERSION:
        raise CorruptPartError(f"its format version is {version}, this Trapline reads up to {NEWEST_VERSION}")
