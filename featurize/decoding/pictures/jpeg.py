"""Damage inside a JPEG: libjpeg warns of it and paints on, grey or in false colours, and Pillow hides the warning."""

import re

import simplejpeg

_DAMAGE = ("Corrupt JPEG data", "Premature end of JPEG file")
_SURPLUS = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_END = b"\xff\xd9"
_SCAN_ENDS = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_TABLES, _SCAN, _LAST = 0xC4, 0xDA, 0xD9
_OTHER_KINDS = (0xC2, 0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_LENGTHS = 16
# More than a whole block's coefficients one after the other that are all the least that there is: no picture has that.
_ZEROS = bytes(32)
# What libjpeg has read ahead of the bytes that it counts as surplus.
_READ_AHEAD_BYTES = 16


def find_damage(content: bytes) -> str:
    """What is corrupt in the data of the JPEG file `content`, mostly in libjpeg's words; "" if nothing is known to be.

    A change that leaves the code readable and of the same length, as one of a few bits may, cannot be told from a
    picture.
    """
    if _zeros_stand_in(content):
        return "zeros stand in place of its data"
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


def _zeros_stand_in(content: bytes) -> bool:
    """Whether a scan of a sequential JPEG holds zeros that no picture gives: a card that loses a block reads as zeros.

    A decoder may well read on: to it they are the shortest code again and again. Where that code ends a block, as in
    tables that were made for a flat picture, they say nothing.
    """
    place, shortest = 2, dict[int, int]()
    while _ZEROS in content and place + 4 <= len(content) and content[place] == _END[0]:
        marker, size = content[place + 1], int.from_bytes(content[place + 2 : place + 4])
        body, after = content[place + 4 : place + 2 + size], place + 2 + size
        if marker == _LAST or marker in _OTHER_KINDS:
            return False
        if marker == _TABLES:
            shortest |= _shortest_codes(body)
        if marker == _SCAN and body:
            end = _SCAN_ENDS.search(content, after)
            code = content[after : end.start() if end else len(content)]
            after += len(code)
            tables = [selector & 15 for selector in body[2 : 1 + 2 * body[0] : 2]]
            if any(shortest.get(table) for table in tables) and _ZEROS in code.rstrip(b"\0"):
                return True
        place = after
    return False


def _shortest_codes(body: bytes) -> dict[int, int]:
    """What the code of nothing but zeros means in each table for AC coefficients of a segment of Huffman tables."""
    found, place = {}, 0
    while place + 1 + _LENGTHS < len(body):
        kind, table = divmod(body[place], 16)
        if kind:
            found[table] = body[place + 1 + _LENGTHS]
        place += 1 + _LENGTHS + sum(body[place + 1 : place + 1 + _LENGTHS])
    return found
