"""Committing: a file appears under its name whole and on disk, or not at all."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from store.errors import StoreWriteError
from store.files import replacing
from store.portable import open_new, write_some

HEADER_BYTES = 4096
_WRITE_BYTES = 64 * 2**20
_MOST_PIECES = 512
_MAGIC = b"trapline part\nsha256 of the bytes after the first 4096: "


def commit_bytes(path: Path, content: bytes) -> None:
    """Write a small file at `path`, atomically and durably.

    Raises:
        StoreWriteError: the disk refused; nothing is at `path` that was not there before.
    """
    _commit(path, lambda descriptor: _write_all(descriptor, [content]))


def commit_part(path: Path, body: Iterable[memoryview]) -> None:
    """Write a part at `path`, atomically and durably: a header that seals the body, then the body.

    The header is an HDF5 user block of 4096 bytes, which HDF5 tools skip; it holds the sha256 of all bytes after it.

    Args:
        path: final name of the part; its folder must exist.
        body: the HDF5 bytes, in order, in pieces of any size.

    Raises:
        StoreWriteError: the disk refused; there is no part at `path`.
    """
    _commit(path, lambda descriptor: _write_sealed(descriptor, body))


def header_of(digest: str) -> bytes:
    """The first 4096 bytes of a part whose other bytes have the sha256 `digest` (hex)."""
    return (_MAGIC + digest.encode() + b"\n").ljust(HEADER_BYTES, b"\0")


def _commit(path: Path, write: Callable[[int], None]) -> None:
    try:
        with replacing(path) as temporary:
            _write_durably(temporary, write)
    except OSError as error:
        raise StoreWriteError(
            f"{path}: could not be written ({error.strerror or error}); what was committed before is intact: "
            "make space or restore access, then run the same command again"
        ) from error


def _write_durably(path: Path, write: Callable[[int], None]) -> None:
    descriptor = open_new(path)
    try:
        write(descriptor)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_sealed(descriptor: int, body: Iterable[memoryview]) -> None:
    """Write the body, hashing beside the writing and the waiting for the disk; then fill in the header."""
    digest = hashlib.sha256()
    os.lseek(descriptor, HEADER_BYTES, os.SEEK_SET)
    with ThreadPoolExecutor(max_workers=1) as hasher:
        behind: list[Future[None]] = []
        for pieces in _batched(body):
            wait(behind)
            behind = [hasher.submit(_take_in, digest, pieces)]
            _write_all(descriptor, pieces)
        os.fsync(descriptor)
    os.lseek(descriptor, 0, os.SEEK_SET)
    _write_all(descriptor, [header_of(digest.hexdigest())])


def _batched(pieces: Iterable[memoryview]) -> Iterator[list[memoryview]]:
    """The pieces in lists of about 64 MB; the page cache keeps what is written in large calls in large pages."""
    batch: list[memoryview] = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += piece.nbytes
        if len(batch) >= _MOST_PIECES or size >= _WRITE_BYTES:
            yield batch
            batch, size = [], 0
    yield batch


def _take_in(digest: "hashlib._Hash", pieces: Sequence[memoryview]) -> None:
    for piece in pieces:
        digest.update(piece)


def _write_all(descriptor: int, pieces: Sequence[bytes | memoryview]) -> None:
    rest = [piece for piece in pieces if len(piece)]
    while rest:
        written = write_some(descriptor, rest)
        while rest and written >= len(rest[0]):
            written -= len(rest.pop(0))
        if rest:
            rest[0] = memoryview(rest[0])[written:]
