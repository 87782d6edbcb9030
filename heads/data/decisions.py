"""What people decided of clips: a log that only grows, so that no key press is lost and every one can be taken back."""

import json
import os
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from heads.data.class_names import means_blank
from heads.data.labels import BLANK, LabelTable
from heads.errors import DecisionError
from store.ids import counted, name_a_few
from store.portable import open_to_append, sync_folder

RANDOM = "random"
# Strategies that choose clips for what they may teach or settle, so that what they find is no fair sample.
CHOOSING = frozenset(
    {"typical", "suspect", "rare", "new", "unsure", "doubt", "suspects", "blanks", "class", "neighbours"}
)
_ENDING = ".decisions.jsonl"
_LOOKED_AT = 4096  # bytes, to tell a log from a table


class State(StrEnum):
    """What a clip's decision comes to.

    LABELLED: the classes are on it, and no others; without classes it is blank. UNSURE: looked at, and not to be
    learned from. SKIPPED: passed by, which takes nothing back. UNDECIDED: as if nobody had decided.
    """

    LABELLED = "labelled"
    UNSURE = "unsure"
    SKIPPED = "skipped"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class Why:
    """Why a clip was shown.

    Attributes:
        strategy: what chose it, such as "doubt".
        reason: in words.
        is_random: whether it was drawn at random of all clips, so that honest scores may be had from it.
    """

    strategy: str = ""
    reason: str = ""
    is_random: bool = False


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One key press: what somebody said of one clip.

    Attributes:
        clip_id: the clip.
        state: what stands of the clip from here on.
        after: the classes that it shows now; none for a clip that is blank, or not labelled.
        before: the classes that stood before; None if it had no label.
        user: who said so.
        time: when, UTC, ISO 8601.
        seen: the probability of each class that was shown with the clip; None if none was.
        why: why the clip was shown.
        id: tells it from all others.
        action: the key press that it came from, where that said something of several clips at once; "" for its own.
        undoes: the decision that this one takes back; of one that undoes another, this is to do it again. "" for none.

    Example:
        >>> decision = Decision(clip_id="a.mp4", state=State.LABELLED, after=("hog",))
        >>> Decision.from_json(decision.to_json()) == decision
        True
    """

    clip_id: str
    state: State
    after: tuple[str, ...] = ()
    before: tuple[str, ...] | None = None
    user: str = ""
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))
    seen: Mapping[str, float] | None = None
    why: Why = Why()
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    action: str = ""
    undoes: str = ""

    @property
    def verdict(self) -> tuple[State, frozenset[str]]:
        """What two people must agree in to agree."""
        return self.state, frozenset(self.after)

    def to_json(self) -> dict[str, Any]:
        """What is written of it."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Any) -> "Decision":
        """What `to_json` gave, back from a file; fields that are not known are passed over.

        Raises:
            ValueError: it is no decision.
        """
        if not isinstance(found, dict) or not isinstance(found.get("clip_id"), str) or not found["clip_id"]:
            raise ValueError("no decision")
        why = found.get("why")
        before = found.get("before")
        return cls(
            clip_id=found["clip_id"],
            state=State(str(found.get("state"))),
            after=_names(found.get("after", ())),
            before=None if before is None else _names(before),
            user=str(found.get("user", "")),
            time=str(found.get("time", "")),
            seen=_probabilities(found.get("seen")),
            why=_why(why if isinstance(why, dict) else {}),
            id=str(found.get("id", "")),
            action=str(found.get("action", "")),
            undoes=str(found.get("undoes") or ""),
        )


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """The last words of several people on one clip, which differ; the last of them counts."""

    clip_id: str
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """What a log says.

    Attributes:
        log: every decision, oldest first.
        notes: what could not be read, a sentence each.
    """

    log: tuple[Decision, ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def counting(self) -> list[Decision]:
        """The decisions that nobody took back, oldest first."""
        undone: set[str] = set()
        found = []
        for decision in reversed(self.log):
            if decision.id and decision.id in undone:
                continue
            if decision.undoes:
                undone.add(decision.undoes)
            else:
                found.append(decision)
        return found[::-1]

    def to_take_back(self, user: str) -> list[Decision]:
        """The decisions of somebody's last key press that he has not taken back; none if there is none."""
        done, _ = self._actions(user)
        return done[-1] if done else []

    def to_do_again(self, user: str) -> list[Decision]:
        """The taking back that somebody did last, and may take back; none if he has decided something since."""
        _, undone = self._actions(user)
        return undone[-1][0] if undone else []

    def _actions(self, user: str) -> tuple[list[list[Decision]], list[tuple[list[Decision], list[Decision]]]]:
        """What somebody did and has not taken back, and what he took back, each with what it had been."""
        own = (each for each in self.log if each.user == user)
        done: list[list[Decision]] = []
        undone: list[tuple[list[Decision], list[Decision]]] = []
        for _, together in groupby(own, key=lambda each: each.action or each.id):
            action = list(together)
            targets = {each.undoes for each in action}
            if targets == {""}:
                done.append(action)
                undone.clear()
            elif undone and targets & {each.id for each in undone[-1][0]}:
                done.append(undone.pop()[1])
            elif done and targets & {each.id for each in done[-1]}:
                undone.append((action, done.pop()))
        return done, undone

    @cached_property
    def standing(self) -> dict[str, Decision]:
        """The decision of each clip: the last one that counts; a clip whose decisions were all taken back has none.

        Skipping a clip that has a decision leaves it as it is.
        """
        found = _stand({}, self.counting)
        return {clip_id: each for clip_id, each in found.items() if each.state is not State.UNDECIDED}

    @property
    def are_chosen(self) -> bool:
        """Whether a clip was labelled because a queue had chosen it for what it may teach, not by chance or in turn."""
        return any(
            each.why.strategy in CHOOSING and not each.why.is_random
            for each in self.counting
            if each.state is State.LABELLED
        )

    @cached_property
    def _ids(self) -> frozenset[str]:
        return frozenset(each.id for each in self.log if each.id)

    @cached_property
    def conflicts(self) -> list[Conflict]:
        """The clips of which several people said different things, each by his last word."""
        last: dict[str, dict[str, Decision]] = {}
        for decision in self.counting:
            own = last.setdefault(decision.clip_id, {})
            own.pop(decision.user, None)
            if decision.state not in (State.SKIPPED, State.UNDECIDED):
                own[decision.user] = decision
        return [
            Conflict(clip_id=clip_id, decisions=tuple(own.values()))
            for clip_id, own in last.items()
            if len({each.verdict for each in own.values()}) > 1
        ]

    def with_more(self, more: "Decisions") -> "Decisions":
        """These decisions and those that were made since."""
        if not more.log and not more.notes:
            return self
        fresh = tuple(each for each in more.log if each.id not in self._ids)
        both = Decisions(log=(*self.log, *fresh), notes=(*self.notes, *more.notes))
        if not any(each.undoes or each.state is State.UNDECIDED for each in fresh):
            # What is known already need not be found out again at each key press.
            vars(both)["_ids"] = self._ids | {each.id for each in fresh}
            vars(both)["counting"] = [*self.counting, *fresh]
            vars(both)["standing"] = _stand({**self.standing}, fresh)
        return both

    def labels(self, classes: Sequence[str] = ()) -> pd.DataFrame:
        """The labelled clips as a table that `heads train --labels` takes: `filename`, and 0 or 1 for each class.

        Args:
            classes: the columns that come first; classes that were decided and are not among them follow by name. If
                there are none, blank clips have a class of their own.
        """
        labelled = [each for each in self.standing.values() if each.state is State.LABELLED]
        first = classes or [BLANK] * any(not each.after for each in labelled)
        names = [*first, *new_classes(labelled, first)]
        values = np.array([label_row(each, names) for each in labelled], np.uint8).reshape(-1, len(names))
        return LabelTable(ids=tuple(each.clip_id for each in labelled), classes=tuple(names), values=values).to_frame()


class DecisionLog:
    """A log of decisions in a file of JSON lines, to which several people may add at once.

    Args:
        path: the file; made, with its folder, by the first decision.

    Example:
        >>> import tempfile
        >>> log = DecisionLog(Path(tempfile.mkdtemp()) / "clips.decisions.jsonl")
        >>> log.append([Decision(clip_id="a.mp4", state=State.LABELLED, after=("hog",), user="ann")])
        >>> log.read().standing["a.mp4"].after
        ('hog',)
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, decisions: Sequence[Decision]) -> None:
        """Add decisions, together; once this returns, they are on the disk.

        Raises:
            DecisionError: the disk refused; of what was written of them, at most whole lines from the first on count.
        """
        if not decisions:
            return
        lines = [json.dumps(each.to_json(), ensure_ascii=False, allow_nan=False) + "\n" for each in decisions]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            is_new = not self.path.exists()
            _append(self.path, "".join(lines).encode())
            if is_new:
                sync_folder(self.path.parent)
        except OSError as error:
            raise DecisionError(
                f"{self.path}: the decision could not be written ({error.strerror or error}); make room or name "
                "another file with --decisions, and decide again"
            ) from error

    @property
    def size_bytes(self) -> int:
        """The size of the file, by which it is seen to have grown; 0 if there is none yet."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def read_on(self, start: int) -> tuple[Decisions, int]:
        """The decisions behind the first `start` bytes, and how many bytes there are up to the end of the last of them.

        A last line that is not whole may be in the writing: it is left for the next time.

        Raises:
            DecisionError: the file cannot be read.
        """
        text = _bytes_of(self.path, start)
        whole = text[: text.rfind(b"\n") + 1]
        return _parsed(self.path, whole), start + len(whole)

    def read(self) -> Decisions:
        """Every decision; none if there is no file yet."""
        return read_decisions(self.path)


def default_log(store_root: Path) -> Path:
    """Where the decisions on a store's clips are kept: beside it, so that whoever deletes the store keeps them."""
    whole = store_root.absolute()
    return whole.with_name(whole.name + _ENDING)


def read_decisions(path: Path) -> Decisions:
    """The decisions of a log; none if there is no file yet. A line that is none is passed over, with a note.

    Raises:
        DecisionError: the file cannot be read.
    """
    return _parsed(path, _bytes_of(path, 0))


def is_decision_log(path: Path) -> bool:
    """Whether a file is a log of decisions, by its first line that is whole."""
    try:
        with path.open("rb") as file:
            start = file.read(_LOOKED_AT)
            if not start.lstrip().startswith(b"{"):
                return False
            for line in (start + file.readline()).split(b"\n"):
                if line.strip():
                    Decision.from_json(json.loads(line))
                    return True
    except (OSError, ValueError):
        return False
    return False


def decide_labels(
    labels: LabelTable, decisions: Decisions, origin: str, known: Collection[str], sites: Mapping[str, str]
) -> tuple[LabelTable, list[str]]:
    """Labels with what was decided of clips in place of them, or beside them, and a sentence on what came of it.

    A clip that somebody was unsure of is left out; one that was skipped keeps its label. A class that the labels do not
    have becomes one: clips that were not decided do not show it.

    Args:
        labels: as they were.
        decisions: what was decided.
        origin: where it stands, for messages.
        known: the clips that there are; others were decided of another collection, or are gone, and are passed over.
        sites: the site of each clip, as far as it is known.

    Raises:
        DecisionError: the labels have sites, and a clip that was decided has none.
    """
    standing = {clip_id: each for clip_id, each in decisions.standing.items() if each.state is not State.SKIPPED}
    there = {*known, *labels.ids}
    gone = [clip_id for clip_id in standing if clip_id not in there]
    decided = [each for clip_id, each in standing.items() if clip_id in there]
    labelled = {each.clip_id: each for each in decided if each.state is State.LABELLED}
    unsure = {each.clip_id for each in decided} - labelled.keys()
    fresh = new_classes(labelled.values(), labels.classes)
    wide = replace(
        labels,
        classes=(*labels.classes, *fresh),
        values=np.pad(labels.values, ((0, 0), (0, len(fresh)))),
    )
    own = {clip_id: label_row(each, wide.classes) for clip_id, each in labelled.items()}
    old = [own.get(clip_id, row) for clip_id, row in zip(wide.ids, wide.values, strict=True)]
    changed = sum(not np.array_equal(new, row) for new, row in zip(old, wide.values, strict=True))
    before = {*labels.ids}
    added = [clip_id for clip_id in own if clip_id not in before]
    values = np.array([*old, *(own[clip_id] for clip_id in added)], np.uint8).reshape(-1, len(wide.classes))
    both = replace(wide, ids=(*wide.ids, *added), values=values, sites=_sites(labels, added, sites, origin))
    kept = both.select([clip_id for clip_id in both.ids if clip_id not in unsure])
    return kept, _said(origin, changed, added, unsure, gone, fresh)


def new_classes(labelled: Iterable[Decision], classes: Sequence[str]) -> list[str]:
    """The classes that were decided and are none of `classes`, by name."""
    return sorted({name for each in labelled for name in each.after} - {*classes})


def label_row(decision: Decision, classes: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """The labels (C,) that a decision says; a blank clip shows the class that means so, if there is one."""
    row = np.array([name in decision.after for name in classes], np.uint8)
    if not decision.after:
        row |= np.array([means_blank(name) for name in classes], np.uint8)
    return row


def _bytes_of(path: Path, start: int) -> bytes:
    """What stands in a log behind its first `start` bytes; nothing if there is none yet."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise DecisionError(
            f"{path}: cannot be read ({error.strerror or error}); name another with --decisions"
        ) from error


def _parsed(path: Path, text: bytes) -> Decisions:
    log, broken = [], []
    for number, line in enumerate(text.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            log.append(Decision.from_json(json.loads(line)))
        except ValueError:
            broken.append(number)
    notes: tuple[str, ...] = ()
    if broken:
        lines = ", ".join(str(number) for number in broken[:5]) + (" and others" if len(broken) > 5 else "")
        notes = (
            f"{path.name}: {counted(len(broken), 'line', 'are')} passed over for want of a decision (line {lines})",
        )
    return Decisions(log=_once(log), notes=notes)


def _stand(found: dict[str, Decision], decisions: Iterable[Decision]) -> dict[str, Decision]:
    """What stands of each clip after further decisions, in the order of the last words."""
    for decision in decisions:
        if decision.state is State.SKIPPED and decision.clip_id in found:
            continue
        found.pop(decision.clip_id, None)
        found[decision.clip_id] = decision
    return found


def _append(path: Path, text: bytes) -> None:
    """Add `text` to a file in one write, on a line of its own, and wait until it is on the disk.

    Two writers that find a half-written last line leave an empty one between them, which nobody minds.
    """
    descriptor = open_to_append(path)
    try:
        size = os.lseek(descriptor, 0, os.SEEK_END)
        if size:
            os.lseek(descriptor, size - 1, os.SEEK_SET)
            if os.read(descriptor, 1) != b"\n":
                text = b"\n" + text
        written = os.write(descriptor, text)
        if written != len(text):
            raise OSError(f"{written} of {len(text)} bytes written")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _once(log: Sequence[Decision]) -> tuple[Decision, ...]:
    """The decisions without those that stand there again, as after a page had sent them twice."""
    seen: set[str] = set()
    found = []
    for decision in log:
        if not decision.id or decision.id not in seen:
            found.append(decision)
        seen.add(decision.id)
    return tuple(found)


def _names(found: Any) -> tuple[str, ...]:
    if not isinstance(found, list | tuple) or not all(isinstance(name, str) and name for name in found):
        raise ValueError("no names of classes")
    return tuple(dict.fromkeys(found))


def _probabilities(found: Any) -> dict[str, float] | None:
    if not isinstance(found, dict):
        return None
    return {str(name): float(each) for name, each in found.items() if isinstance(each, int | float)}


def _why(found: Mapping[str, Any]) -> Why:
    return Why(
        strategy=str(found.get("strategy", "")),
        reason=str(found.get("reason", "")),
        is_random=found.get("is_random") is True,
    )


def _sites(labels: LabelTable, added: Sequence[str], sites: Mapping[str, str], origin: str) -> tuple[str, ...] | None:
    if labels.sites is None:
        return None
    lacking = [clip_id for clip_id in added if clip_id not in sites]
    if lacking:
        have = "was decided has" if len(lacking) == 1 else "were decided have"
        raise DecisionError(
            f"{origin}: {counted(len(lacking), 'clip')} that {have} no site: {name_a_few(lacking)}; add them to "
            "the table of sites"
        )
    return (*labels.sites, *(sites[clip_id] for clip_id in added))


def _said(
    origin: str,
    changed: int,
    added: Sequence[str],
    unsure: Collection[str],
    gone: Sequence[str],
    fresh: Sequence[str],
) -> list[str]:
    notes = [
        f"{origin}: {counted(changed, 'label')} corrected, {counted(len(added), 'clip')} added, {len(unsure)} left out "
        "as unsure"
    ]
    if fresh:
        notes.append(
            f"{origin}: {name_a_few(fresh)}: new classes, which clips that nobody decided again are taken not to show"
        )
    if gone:
        are = "was decided is" if len(gone) == 1 else "were decided are"
        notes.append(f"{origin}: {counted(len(gone), 'clip')} that {are} not in the store: {name_a_few(gone)}")
    return notes
