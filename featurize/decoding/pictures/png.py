"""Damage in a PNG that a decoder passes over: Pillow compares no checksums of pixel data."""

import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"IEND"
_FRAME = b"fdAT"  # pixels of a later picture of an animated PNG


def find_png_damage(content: bytes) -> str:
    """What is damaged in the pixels of a PNG, "" if nothing is: each of its chunks carries a checksum of itself.

    Chunks that no picture needs, such as texts, may be damaged: their names begin with a small letter.
    """
    place = len(_SIGNATURE)
    while place + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        kind, end = content[place + 4 : place + 8], place + 8 + length
        if end + 4 > len(content):
            return "its last part is cut off"
        matters = kind[:1].isupper() or kind == _FRAME
        if matters and zlib.crc32(content[place + 4 : end]) != struct.unpack_from(">I", content, end)[0]:
            return f"the checksum of its part {kind.decode('latin-1')!r} is wrong"
        if kind == _END:
            return ""
        place = end + 4
    return "its end is missing"
