"""Clip ids: the one name that joins features, facts, labels, folds and predictions."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath

from store.errors import DuplicateClipError, UnknownClipError

_SHOWN = 5


def clip_id_from_path(path: PurePath, root: PurePath) -> str:
    """The id of the clip at `path`: its path relative to `root`, `/` separated, in Unicode NFC, always writable."""
    return normalise_clip_id(writable(path.relative_to(root).as_posix()))


def writable(path: str) -> str:
    """`path` with the bytes of it that are not UTF-8, which Python keeps as lone surrogates, as `%` and two hex digits.

    Cards that were written under another locale hold such names; the clips are as good as any.
    """
    return re.sub("[\udc80-\udcff]", lambda found: f"%{ord(found[0]) - 0xDC00:02X}", path)


def spelt_out(path: str) -> str:
    """`path` with what a clip id cannot keep of it as `%` and hex digits: letters of names that are not composed (NFC),
    and backslashes. It tells a file from another that has the same id.
    """
    return "/".join(_spelt_out(part) for part in writable(path).split("/"))


def _spelt_out(part: str) -> str:
    composed = unicodedata.is_normalized("NFC", part)
    return "".join(
        letter
        if letter != "\\" and (composed or letter.isascii())
        else "".join(f"%{byte:02X}" for byte in letter.encode())
        for letter in part
    )


def normalise_clip_id(text: str) -> str:
    """`text` as a clip id: `/` separators, Unicode NFC, no leading `./`.

    File systems and spreadsheets disagree about the composition of letters such as "ï";
    NFC makes the same name equal wherever it came from.
    """
    return unicodedata.normalize("NFC", text.replace("\\", "/")).removeprefix("./")


def path_ends(path: str) -> Iterator[str]:
    """What a path ends with, at the borders of its parts, the longest first, beginning with all of it."""
    while path:
        yield path
        _, _, path = path.partition("/")


def name_a_few(ids: Iterable[str]) -> str:
    """The first few of `ids`, for an error message."""
    listed = list(ids)
    shown = ", ".join(repr(clip_id) for clip_id in listed[:_SHOWN])
    return shown if len(listed) <= _SHOWN else f"{shown} and {len(listed) - _SHOWN} more"


_OF_ONE = {"are": "is", "were": "was", "have": "has"}


def counted(number: int, noun: str, verb: str = "") -> str:
    """A number and the word for what there are so many of: "1 clip", "1,200 clips"; with "are", "1 clip is"."""
    if number != 1:
        noun += "es" if noun.endswith("s") else "s"
    said = _OF_ONE.get(verb, verb) if number == 1 else verb
    return " ".join(filter(None, (f"{number:,}", noun, said)))


def require_unique(ids: Sequence[str], where: str) -> None:
    """Raise DuplicateClipError, naming the first few, unless every id stands once in `ids`."""
    if len(set(ids)) == len(ids):
        return
    repeated = [clip_id for clip_id, count in Counter(ids).items() if count > 1]
    if repeated:
        raise DuplicateClipError(
            f"{where}: {counted(len(repeated), 'clip id')} more than once: {name_a_few(repeated)}; keep one row each"
        )


def require_known(ids: Iterable[str], known: Iterable[str], where: str, remedy: str) -> None:
    """Raise UnknownClipError, naming the first few, unless every one of `ids` is in `known`."""
    have = set(known)
    unknown = [clip_id for clip_id in ids if clip_id not in have]
    if unknown:
        raise UnknownClipError(f"{where}: {unknown_ids(unknown)}; {remedy}")


def unknown_ids(unknown: Sequence[str]) -> str:
    """How many ids are unknown, and the first few."""
    many = "1 clip id is" if len(unknown) == 1 else f"{len(unknown)} clip ids are"
    return f"{many} unknown: {name_a_few(unknown)}"
