import collections
import struct
from pathlib import Path

import numpy as np
import pytest
from pickled import Call, Global, Reference, dumps

from featurize.backbones.builders.torch_checkpoint import read_torch_checkpoint
from featurize.errors import WeightsError

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


def tensor(key: str, size: int, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> Call:
    storage = Reference("storage", Global("torch", "FloatStorage"), key, "cpu", size, None)
    arguments = (storage, offset, shape, stride, False, None)
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), arguments)


def checkpoint(named: object, keys: list[str], storages: list[np.ndarray]) -> bytes:
    head = dumps(MAGIC) + dumps(PROTOCOL) + dumps({"little_endian": True}) + dumps(named) + dumps(keys)
    return head + b"".join(struct.pack("<q", each.size) + each.astype("<f4").tobytes() for each in storages)


def write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    return path


VALUES = np.arange(12, dtype=np.float32) * 1.5


def test_tensors_come_back_bit_for_bit_also_through_strides(tmp_path: Path) -> None:
    named = collections.OrderedDict(
        plain=tensor("a", 12, 0, (3, 4), (4, 1)),
        turned=tensor("a", 12, 1, (3, 2), (1, 4)),
        one=tensor("a", 12, 5, (), ()),
    )
    read = read_torch_checkpoint(write(tmp_path, checkpoint(named, ["a"], [VALUES])))
    np.testing.assert_array_equal(read["plain"], VALUES.reshape(3, 4))
    np.testing.assert_array_equal(read["turned"], np.array([[1, 5], [2, 6], [3, 7]]) * np.float32(1.5))
    assert read["one"].shape == ()
    assert read["one"] == np.float32(7.5)


@pytest.mark.parametrize(
    "reference",
    [("os", "system"), ("builtins", "eval"), ("torch", "load"), ("numpy", "fromfile"), ("collections", "Counter")],
)
def test_any_other_name_is_refused_and_not_run(tmp_path: Path, reference: tuple[str, str]) -> None:
    marker = tmp_path / "ran"
    call = Call(Global(*reference), (f"touch {marker}",))
    path = write(tmp_path, checkpoint(collections.OrderedDict(a=call), [], []))
    with pytest.raises(WeightsError, match=f"names {reference[0]}.{reference[1]}"):
        read_torch_checkpoint(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("named", "keys", "expected"),
    [
        ({"a": tensor("s", 12, 0, (4, 4), (4, 1))}, ["s"], "beyond its storage"),
        ({"a": tensor("s", 12, 12, (1,), (1,))}, ["s"], "beyond its storage"),
        ({"a": tensor("s", 12, 0, (2,), (-1,))}, ["s"], "contradict"),
        ({"a": tensor("s", 12, 0, (2, 2), (1,))}, ["s"], "contradict"),
        ({"a": tensor("s", 13, 0, (2,), (1,))}, ["s"], "has 12 items, expected 13"),
        ({"a": tensor("s", 12, 0, (2,), (1,))}, ["other"], "list of storages"),
        ({"a": 3}, [], "other than tensors"),
        ([1, 2], [], "other than tensors"),
    ],
)
def test_tensors_that_lie_about_themselves_are_refused(
    tmp_path: Path, named: object, keys: list[str], expected: str
) -> None:
    path = write(tmp_path, checkpoint(named, keys, [VALUES]))
    with pytest.raises(WeightsError, match=expected):
        read_torch_checkpoint(path)


def test_every_truncation_and_trailing_bytes_are_refused(tmp_path: Path) -> None:
    content = checkpoint(collections.OrderedDict(a=tensor("s", 12, 0, (12,), (1,))), ["s"], [VALUES])
    read_torch_checkpoint(write(tmp_path, content))
    for length in range(len(content)):
        with pytest.raises(WeightsError, match="not a plain checkpoint"):
            read_torch_checkpoint(write(tmp_path, content[:length]))
    with pytest.raises(WeightsError, match="1 bytes stand after"):
        read_torch_checkpoint(write(tmp_path, content + b"\0"))
