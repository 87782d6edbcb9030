"""Damage inside a JPEG: libjpeg warns of it and paints on, grey or in false colours, and Pillow hides the warning."""

import re

import simplejpeg

_DAMAGE = ("Corrupt JPEG data", "Premature end of JPEG file")
_SURPLUS = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_END = b"\xff\xd9"
# What libjpeg has read ahead of the bytes that it counts as surplus.
_READ_AHEAD_BYTES = 16


def find_damage(content: bytes) -> str:
    """What libjpeg says of corrupt data in the JPEG file `content`, "" if it says nothing of the kind.

    A change that leaves the code readable and of the same length, as one of a few bits may, cannot be told from a
    picture.
    """
    try:
        # An eighth of the side: all of the code is read, and little of the rest is computed.
        simplejpeg.decode_jpeg(content, min_height=1, min_width=1, min_factor=8, strict=True)
    except ValueError as error:
        said = str(error)
        return said if said.startswith(_DAMAGE) and not _is_padding(said, content) else ""
    return ""


def _is_padding(said: str, content: bytes) -> bool:
    """Whether the surplus that libjpeg complains of is zeros with which a camera filled up a file of fixed size.

    Zeros that were painted too stand in place of a part of the picture.
    """
    surplus = _SURPLUS.search(said)
    if surplus is None:
        return False
    zeros = int(surplus[1])
    return bytes(zeros) + _END in content and bytes(zeros + _READ_AHEAD_BYTES) + _END not in content
