"""Names of classes as people write them: known words for a clip that shows nothing, and spellings of one name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from heads.data.labels import BLANK, Labelled
from heads.data.tables import bare, tidy
from store.ids import name_a_few

BLANK_WORDS = (
    "blank",
    "blanks",
    "empty",
    "none",
    "nothing",
    "no animal",
    "no animals",
    "no species",
    "no wildlife",
    "false trigger",
    "leer",
    "vide",
    "vacío",
    "vazio",
    "vuoto",
)


_BARE_BLANKS = frozenset({*map(bare, BLANK_WORDS), "vacio"})


def means_blank(name: str) -> bool:
    """Whether a class of this name is that of clips that show nothing."""
    return bare(name) in _BARE_BLANKS


def read_class(name: str) -> str:
    """The class that a name in a recipe means, as labels are read: tidied, and BLANK for a word for it."""
    return BLANK if means_blank(name) else tidy(name)


def known_class(name: str, classes: Sequence[str]) -> str:
    """The class that a column of somebody's table means: BLANK for a word for it, unless there is a class of that name;
    else the name itself.
    """
    return BLANK if name not in classes and BLANK in classes and means_blank(name) else name


def with_one_blank(found: Labelled) -> Labelled:
    """The labels with all classes that mean BLANK as one of that name, and a note if they were called otherwise."""
    labels = found.labels
    renamed = [name for name in labels.classes if means_blank(name) and name != BLANK]
    if not renamed:
        return found
    names = [BLANK if means_blank(name) else name for name in labels.classes]
    classes = list(dict.fromkeys(names))
    if list(labels.classes) == sorted(labels.classes):
        classes.sort()
    columns = np.array(names)
    values = np.stack([labels.values[:, columns == name].max(axis=1) for name in classes], axis=1)
    note = f"{labels.origin}: {_listed(renamed)} {'is' if len(renamed) == 1 else 'are'} taken for '{BLANK}'"
    return replace(
        found,
        labels=replace(labels, classes=tuple(classes), values=values),
        notes=(*found.notes, f"{note}, the clips that show nothing"),
    )


def spelling_notes(origin: str, what: str, names: Iterable[str]) -> tuple[str, ...]:
    """A sentence on names that differ only in case or in what stands between words, and so may be meant as one.

    Args:
        origin: where they stand.
        what: what they are, plural.
        names: the names.
    """
    variants = _grouped({name: bare(name) for name in dict.fromkeys(names)})
    if not variants:
        return ()
    listed = "; ".join(_listed(each) for each in variants)
    return (
        f"{origin}: {listed} look like spellings of one name and are kept apart as {what} of their own; if they are "
        "one, spell them alike in the table",
    )


def joined_notes(origin: str, what: str, spellings: Mapping[str, str]) -> tuple[str, ...]:
    """A sentence on spellings that were made one, since they differ only in white space or in how letters are composed.

    Args:
        origin: where they stand.
        what: what they are, singular.
        spellings: what each spelling in the file was read as.
    """
    variants = _grouped(spellings)
    if not variants:
        return ()
    listed = "; ".join(f"{', '.join(map(ascii, each))} as '{spellings[each[0]]}'" for each in variants)
    return (f"{origin}: spellings of one {what} that differ only in white space or composed letters are one: {listed}",)


def _grouped(key_of: Mapping[str, str]) -> list[list[str]]:
    """Those names that share a key with others, together, sorted."""
    groups: dict[str, list[str]] = {}
    for name, key in key_of.items():
        if key:
            groups.setdefault(key, []).append(name)
    return sorted(sorted(names) for names in groups.values() if len(names) > 1)


def _listed(names: Sequence[str]) -> str:
    return name_a_few(names) if len(names) != 2 else f"'{names[0]}' and '{names[1]}'"
