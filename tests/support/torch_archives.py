"""Checkpoints as torch writes them, without torch."""

import io
import zipfile

import numpy as np
from pickled import Call, Global, Reference, dumps

VALUES = np.arange(12, dtype=np.float32) * 1.5


def tensor(key: str, size: int, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> Call:
    """A tensor that is a view of the storage `key`."""
    storage = Reference("storage", Global("torch", "FloatStorage"), key, "cpu", size)
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), (storage, offset, shape, stride, False, None))


def archive(named: object, storages: dict[str, bytes] | None = None, *, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A checkpoint that holds the object `named`, and storages by their keys."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        file.writestr("archive/data.pkl", dumps(named))
        for key, content in (storages or {"0": VALUES.tobytes()}).items():
            file.writestr(f"archive/data/{key}", content)
        file.writestr("archive/version", b"3\n")
    return buffer.getvalue()
