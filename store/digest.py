"""Digests: of settings (what names a feature key) and of file content (what notices a changed clip)."""

import hashlib
import json
from pathlib import Path
from typing import Any

_FINGERPRINT_BYTES = 16


def settings_digest(settings: Any) -> str:
    """The sha256, in hex, of `settings` as canonical JSON (sorted keys, no spaces, UTF-8, no NaN)."""
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """The sha256, in hex, of the whole content of `path`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_fingerprint(path: Path) -> str:
    """The content fingerprint of a clip: BLAKE2b of the whole file, 16 bytes, in hex.

    The whole file is read: decoding reads it anyway, and two trap clips can differ in a few bytes only.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=_FINGERPRINT_BYTES)).hexdigest()
