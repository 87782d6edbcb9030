"""What a file of another program says of clips, gathered row by row and told in one sentence."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from heads.data.class_names import means_blank
from heads.data.labels import BLANK, Labelled, LabelTable
from heads.data.tables import bare
from heads.errors import LabelError
from store.ids import counted

UNKNOWN_WORDS = (
    "unknown",
    "unidentified",
    "unidentifiable",
    "unclassified",
    "not identified",
    "indeterminate",
    "unsure",
    "unid",
)
_BARE_UNKNOWN = frozenset(map(bare, UNKNOWN_WORDS))


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a file of another program is to be read.

    Attributes:
        columns: of a table with columns of its user's own, those that hold labels; its reader looks for one if empty.
        machine: whether what a machine said counts as a label.
    """

    columns: tuple[str, ...] = ()
    machine: bool = False


def means_unknown(name: str) -> bool:
    """Whether a name says that nobody knows, or has said, what is on the clip."""
    return bare(name) in _BARE_UNKNOWN or not bare(name)


@dataclass(kw_only=True)
class Collected:
    """Sightings of one file.

    Attributes:
        origin: the file, for messages.
        about: the format and its version.
        sites: the site of each clip, labelled or not, as far as the file tells.
        shown: the names that each clip was given.
        unsure: the clips of which somebody said that it cannot be said.
        seen: all clips of the file.
        left_out: how many rows were left out, by what one is called and what follows that.
        remarks: what else is to be told, words without a capital.
    """

    origin: str
    about: str
    sites: dict[str, str] = field(default_factory=dict)
    shown: dict[str, dict[str, None]] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)
    seen: dict[str, None] = field(default_factory=dict)
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    remarks: list[str] = field(default_factory=list)
    _meant: dict[str, str] = field(default_factory=dict, repr=False)

    def add(self, clip_id: str, name: str) -> None:
        """Somebody said that the clip shows `name`, or BLANK; a word for not knowing is no label, and never BLANK."""
        self.seen.setdefault(clip_id)
        if name not in self._meant:
            self._meant[name] = "" if means_unknown(name) else BLANK if means_blank(name) else name
        if meant := self._meant[name]:
            self.shown.setdefault(clip_id, {}).setdefault(meant)
        else:
            self.unsure.add(clip_id)

    def leave_out(self, one: str, more: str = "") -> None:
        """A row is left out: `one` is what it is called, such as "observation", and `more` what follows that."""
        self.left_out[one, more] += 1

    def place(self, clip_id: str, site: str, where: str) -> None:
        """The clip was taken at `site`.

        Raises:
            LabelError: it was taken elsewhere, as said before.
        """
        if self.sites.setdefault(clip_id, site) != site:
            raise LabelError(
                f"{where}, clip '{clip_id}': the site is '{site}', but '{self.sites[clip_id]}' elsewhere in the file; "
                "a clip has one site, give files that are called alike other names"
            )

    def labelled(self) -> Labelled:
        """The labels, classes in alphabetical order, and the sentence on them.

        Raises:
            LabelError: no clip has a label.
        """
        for clip_id in self.unsure:  # somebody saw something there, so that it is not blank
            if BLANK in self.shown.get(clip_id, {}):
                del self.shown[clip_id][BLANK]
                if not self.shown[clip_id]:
                    del self.shown[clip_id]
        unsure = len(self.unsure - self.shown.keys())
        without = len(self.seen.keys() - self.shown.keys()) - unsure
        reasons = [f"{counted(count, one)} {more}".rstrip() for (one, more), count in self.left_out.items()]
        reasons += [f"{counted(unsure, 'clip')} that {'shows' if unsure == 1 else 'show'} something unknown"] * bool(
            unsure
        )
        reasons += [f"{counted(without, 'clip')} without a label"] * bool(without)
        told = f"; left out: {', '.join(reasons)}" if reasons else ""
        if not self.shown:
            raise LabelError(
                f"{self.origin}: read as {self.about}, in which no clip has a label{told}; label some clips"
            )
        classes = tuple(sorted({name for names in self.shown.values() for name in names}))
        place = {name: column for column, name in enumerate(classes)}
        values = np.zeros((len(self.shown), len(classes)), np.uint8)
        for row, names in enumerate(self.shown.values()):
            values[row, [place[name] for name in names]] = 1
        unplaced = sum(clip_id not in self.sites for clip_id in self.shown)
        own = None if unplaced else tuple(self.sites[clip_id] for clip_id in self.shown)
        if self.sites and unplaced:
            self.remarks.append(
                f"{counted(unplaced, 'labelled clip', 'have')} no site, so that the sites of others do not count"
            )
        labels = LabelTable(ids=tuple(self.shown), classes=classes, values=values, sites=own, origin=self.origin)
        remarks = "".join(f"; {each}" for each in self.remarks)
        note = f"{self.origin}: read as {self.about}: {counted(len(self.shown), 'clip')} with labels{remarks}{told}"
        return Labelled(labels=labels, sites=dict(self.sites), notes=(note,), adds_up=True)


def unambiguous(names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """What to call files of which only folder and name are known: by the name, or with the folder where names repeat.

    Args:
        names: pairs of folder (a deployment, a camera) and name.
    """
    pairs = list(dict.fromkeys(names))
    times = Counter(name for _, name in pairs)
    return {(folder, name): name if times[name] == 1 else f"{folder}/{name}" for folder, name in pairs}
