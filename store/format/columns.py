"""Columns of a part: numpy arrays and lists of text, to and from plain HDF5 datasets."""

from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from store.records import Status

STATUS_CODES = {Status.OK: 0, Status.SHORT: 1, Status.PARTIAL: 2, Status.FAILED: 3}
STATUSES = tuple(STATUS_CODES)
STATUS_DTYPE = h5py.enum_dtype({str(status): code for status, code in STATUS_CODES.items()}, basetype="u1")


def text_column(texts: Sequence[str]) -> NDArray[np.bytes_]:
    """`texts` as fixed-width UTF-8, as wide as the longest of them, padded with zero bytes."""
    encoded = [text.encode() for text in texts]
    width = max(1, max(map(len, encoded), default=1))
    return np.array(encoded, dtype=h5py.string_dtype("utf-8", width))


def status_column(statuses: Sequence[Status]) -> NDArray[np.uint8]:
    """`statuses` as codes of the HDF5 enumeration."""
    return np.array([STATUS_CODES[status] for status in statuses], dtype=STATUS_DTYPE)


def read_column(file: h5py.File, name: str) -> NDArray[Any]:
    """The whole dataset `name`; h5py's lower level, since a store of many parts opens thousands of small datasets."""
    dataset = h5py.h5d.open(file.id, name.encode())
    values = np.empty(dataset.shape, dataset.dtype)
    dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
    return values


def read_text(file: h5py.File, name: str) -> list[str]:
    """The whole dataset `name` of fixed-width UTF-8 as a list of str; equal texts are one object, to save memory."""
    texts = read_column(file, name).tolist()
    different = set(texts)
    if len(different) == len(texts):  # at one go, unless a text holds what stands between them
        found = b"\0".join(texts).decode().split("\0")
        if len(found) == len(texts):
            return found
    decoded = {text: text.decode() for text in different}
    return [decoded[text] for text in texts]
