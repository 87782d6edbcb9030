"""Tensors out of torch's ZIP checkpoints: only tensors, only as many bytes as they should have."""

import collections
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pickled import Call, Global
from torch_archives import VALUES, archive, tensor

from featurize.backbones.builders.torch_checkpoint import read_torch_archive
from featurize.errors import WeightsError


def read(content: bytes) -> dict[str, np.ndarray]:
    return read_torch_archive(content, "model", "weights.pth")


def test_the_tensors_of_one_part_come_back_bit_for_bit_and_other_parts_are_not_read() -> None:
    model = collections.OrderedDict(plain=tensor("0", 12, 0, (3, 4), (4, 1)), turned=tensor("0", 12, 1, (3, 2), (1, 4)))
    lost = {"state": {0: {"momentum": tensor("9", 99, 0, (99,), (1,))}}, "lr": 0.01, "nesterov": True}
    found = read(archive({"start_epoch": 105, "model": model, "optimizer": lost}))
    np.testing.assert_array_equal(found["plain"], VALUES.reshape(3, 4))
    np.testing.assert_array_equal(found["turned"], np.array([[1, 5], [2, 6], [3, 7]]) * np.float32(1.5))


@pytest.mark.parametrize("reference", [("os", "system"), ("builtins", "eval"), ("numpy", "fromfile")])
def test_any_other_name_is_refused_and_not_run_also_in_parts_that_nobody_wants(
    tmp_path: Path, reference: tuple[str, str]
) -> None:
    marker = tmp_path / "ran"
    content = archive({"model": {}, "optimizer": Call(Global(*reference), (f"touch {marker}",))})
    with pytest.raises(WeightsError, match=f"names {reference[0]}.{reference[1]}"):
        read(content)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (archive({"model": {"a": tensor("0", 13, 0, (2,), (1,))}}), "has 48 bytes, expected 52"),
        (archive({"model": {"a": tensor("0", 12, 0, (4, 4), (4, 1))}}), "beyond its storage"),
        (archive({"model": {"a": tensor("7", 12, 0, (2,), (1,))}}), "'data/7'"),
        (archive({"model": {"a": 3}}), "other than tensors"),
        (archive({"weights": {}}), "'model'"),
        (archive([1, 2]), "weights.pth: not an archive of tensors"),
        (
            archive({"model": {"a": tensor("0", 12, 0, (2,), (1,))}}, compression=zipfile.ZIP_DEFLATED),
            "is compressed",
        ),
        (b"PK\x03\x04 and nothing more", "not an archive of tensors"),
    ],
)
def test_archives_that_lie_about_themselves_are_refused_in_one_sentence(content: bytes, expected: str) -> None:
    with pytest.raises(WeightsError, match=expected) as refused:
        read(content)
    assert "\n" not in str(refused.value)


def test_every_truncation_and_every_flipped_byte_of_a_storage_are_refused() -> None:
    content = archive({"model": {"a": tensor("0", 12, 0, (12,), (1,))}})
    np.testing.assert_array_equal(read(content)["a"], VALUES)
    for length in range(len(content)):
        with pytest.raises(WeightsError):
            read(content[:length])
    start = content.index(VALUES.tobytes())
    for place in range(start, start + VALUES.nbytes, 7):
        flipped = bytearray(content)
        flipped[place] ^= 1
        with pytest.raises(WeightsError, match="Bad CRC-32"):
            read(bytes(flipped))
