"""A file of named float32 tensors, in which weights stand that were converted from somebody else's format."""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurize.errors import WeightsError
from store.files import atomic_path

# Nothing that this program converts is larger; what claims to be is damaged.
_MOST_BYTES = 2**30


def write_tensor_file(path: Path, tensors: Mapping[str, NDArray[np.float32]]) -> None:
    """Write `tensors` to `path`, which is whole or not there at all."""
    buffer = io.BytesIO()
    np.savez(buffer, **dict(tensors))  # type: ignore[arg-type]  # their names are no names of arguments
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def read_tensor_file(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors in `path`.

    Raises:
        WeightsError: it cannot be read, or is damaged.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it is larger than {_MOST_BYTES} bytes")
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path}: cannot be read as weights ({error}); fetch them again") from error


def tensors_sha256(tensors: Mapping[str, NDArray[Any]]) -> str:
    """The digest of names, shapes and numbers, in hex, whatever file they stand in."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name], "<f4")
        digest.update(f"{name} {tensor.shape}\n".encode() + tensor.tobytes())
    return digest.hexdigest()
