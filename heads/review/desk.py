"""What the page asks and says: clips as it shows them, and what a person decides of them."""

import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from heads.data.class_names import means_blank
from heads.data.decisions import Decision, DecisionLog, Decisions, State, Why, new_classes
from heads.data.tables import tidy
from heads.errors import ReviewError
from heads.review.collection import Collection, key_of, without_blank

MOST_CLIPS_AT_ONCE = 500
MOST_CLASSES = 200
LONGEST_NAME = 120
_SEEN_FROM = 0.01
_PATIENCE = 20  # times as long as counting takes until it is done again
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the page says with one key press.

    Attributes:
        action: the name of the key press, made up by the page; what comes twice counts once.
        user: who pressed it.
        clips: keys of the clips that it is said of.
        state: what is said.
        classes: those that the clips show.
        why: why each clip was shown.
    """

    action: str
    user: str
    clips: tuple[str, ...]
    state: State
    classes: tuple[str, ...]
    why: tuple[Why, ...]

    @classmethod
    def from_json(cls, found: Any) -> "Said":
        """What the page sent.

        Raises:
            ReviewError: it makes no sense.
        """
        if not isinstance(found, dict):
            raise ReviewError("a decision was expected")
        clips, classes = _texts(found.get("clips"), MOST_CLIPS_AT_ONCE), _texts(found.get("classes"), MOST_CLASSES)
        action = found.get("action")
        if not isinstance(action, str) or not _ID.fullmatch(action):
            raise ReviewError("the decision has no name of its own")
        if not clips:
            raise ReviewError("the decision is of no clip")
        if found.get("state") not in (State.LABELLED, State.UNSURE, State.SKIPPED):
            raise ReviewError(f"'{found.get('state')}' is nothing that can be said of a clip")
        why = found.get("why")
        reasons = [_why(each) for each in why] if isinstance(why, list) else []
        return cls(
            action=action,
            user=user_named(found.get("user")),
            clips=clips,
            state=State(found["state"]),
            classes=tuple(dict.fromkeys(name for each in classes if (name := tidy(each)) and not means_blank(name))),
            why=tuple((reasons + [Why()] * len(clips))[: len(clips)]),
        )


class Desk:
    """The decisions on a collection, of this person and of others who write to the same log.

    Args:
        collection: what is reviewed.
        log: where decisions are kept.
    """

    def __init__(self, collection: Collection, log: DecisionLog) -> None:
        self.collection = collection
        self._log = log
        self._lock = threading.Lock()
        self._read = 0
        self._conflicts, self._count_again = 0, 0.0
        self._decisions = Decisions()
        self.refresh()

    @property
    def decisions(self) -> Decisions:
        """What was decided so far."""
        return self._decisions

    @property
    def standing(self) -> Mapping[str, Decision]:
        """The decision of each clip."""
        return self._decisions.standing

    def conflicts(self) -> int:
        """On how many clips people disagree; of many decisions not counted anew at each key press."""
        now = time.monotonic()
        if now >= self._count_again:
            self._conflicts = len(self._decisions.conflicts)
            self._count_again = now + _PATIENCE * (time.monotonic() - now)
        return self._conflicts

    def refresh(self) -> None:
        """Read what others have added to the log."""
        with self._lock:
            self._refresh()

    def classes(self) -> list[str]:
        """The classes that can be chosen, those first that there were before anybody decided anything."""
        known = self.collection.classes
        return [*known, *without_blank(tuple(new_classes(self.standing.values(), known)))]

    def clip(self, clip_id: str) -> dict[str, Any]:
        """What the page shows of a clip beside its pictures."""
        facts, decision = self.collection.facts.loc[clip_id], self.standing.get(clip_id)
        return {
            "key": key_of(clip_id),
            "id": clip_id,
            "site": self.collection.site_of(clip_id),
            "time": str(facts["recorded_at"]).replace("T", " "),
            "event": len(self.collection.event_of(clip_id)),
            "label": self._label(clip_id),
            "state": None if decision is None else decision.state.value,
            "by": "" if decision is None else decision.user,
            "predicted": {name: round(each, 4) for name, each in self.collection.probabilities(clip_id).items()},
        }

    def decide(self, said: Said) -> list[Decision]:
        """Write down what was said; once this returns, it is on the disk.

        Raises:
            DecisionError: the disk refused.
            ReviewError: a clip is not there.
        """
        clips = [self.collection.clip_of(key) for key in said.clips]
        with self._lock:
            self._refresh()
            now = _now()
            after = said.classes if said.state is State.LABELLED else ()
            new = [
                Decision(
                    clip_id=clip_id,
                    state=said.state,
                    after=after,
                    before=self._label(clip_id),
                    user=said.user,
                    time=now,
                    seen=self._seen(clip_id),
                    why=why,
                    id=f"{said.action}-{number}",
                    action=said.action,
                )
                for number, (clip_id, why) in enumerate(zip(clips, said.why, strict=True))
            ]
            self._log.append(new)
            self._refresh()
        return new

    def take_back(self, user: str) -> list[Decision]:
        """Take back somebody's last key press: what stands then of each of its clips; none if there is none."""
        with self._lock:
            self._refresh()
            return self._undo(self._decisions.to_take_back(user), user)

    def do_again(self, user: str) -> list[Decision]:
        """Do again what somebody took back last."""
        with self._lock:
            self._refresh()
            return self._undo(self._decisions.to_do_again(user), user)

    def _undo(self, undone: Sequence[Decision], user: str) -> list[Decision]:
        if not undone:
            return []
        now, action = _now(), f"u{undone[0].id[:40]}{len(self._decisions.log)}"
        drafts = [
            Decision(
                clip_id=each.clip_id,
                state=State.UNDECIDED,
                before=self._label(each.clip_id),
                user=user,
                time=now,
                action=action,
                undoes=each.id,
            )
            for each in undone
        ]
        left = Decisions(log=(*self._decisions.log, *drafts)).standing
        new = [
            replace(each, state=left[each.clip_id].state, after=left[each.clip_id].after)
            if each.clip_id in left
            else each
            for each in drafts
        ]
        self._log.append(new)
        self._refresh()
        return new

    def _refresh(self) -> None:
        if self._log.size_bytes < self._read:  # somebody has put another file in its place
            self._decisions, self._read = Decisions(), 0
        more, self._read = self._log.read_on(self._read)
        self._decisions = self._decisions.with_more(more)

    def _label(self, clip_id: str) -> tuple[str, ...] | None:
        decision = self.standing.get(clip_id)
        if decision is not None and decision.state is State.LABELLED:
            return decision.after
        return None if decision is not None and decision.state is State.UNSURE else self.collection.labels.get(clip_id)

    def _seen(self, clip_id: str) -> dict[str, float] | None:
        said = self.collection.probabilities(clip_id)
        return {name: round(each, 4) for name, each in said.items() if each >= _SEEN_FROM} or None


def user_named(found: Any) -> str:
    """The name of a person as the page sent it.

    Raises:
        ReviewError: it is none.
    """
    name = tidy(found) if isinstance(found, str) else ""
    if not name or len(name) > LONGEST_NAME:
        raise ReviewError("say who you are: the page has a field for your name")
    return name


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _texts(found: Any, most: int) -> tuple[str, ...]:
    if not isinstance(found, list) or len(found) > most:
        raise ReviewError(f"a list of at most {most} was expected")
    if not all(isinstance(each, str) and len(each) <= LONGEST_NAME for each in found):
        raise ReviewError(f"names of at most {LONGEST_NAME} letters were expected")
    return tuple(found)


def _why(found: Any) -> Why:
    if not isinstance(found, dict):
        return Why()
    return Why(
        strategy=str(found.get("strategy", ""))[:LONGEST_NAME],
        reason=str(found.get("reason", ""))[:500],
        is_random=found.get("random") is True,
    )
