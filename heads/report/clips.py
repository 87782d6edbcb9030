"""The clips that deserve a look: lists of them, as tables, as cards with pictures, and as CSV to be filled in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heads.data.labels import in_words
from heads.data.reading.corrections import CORRECT
from heads.evaluation.review import (
    Suspect,
    classes_known,
    entropy,
    jensen_shannon,
    loss_per_clip,
    suspect_labels,
)
from heads.report.files import ClipFiles
from heads.report.run_facts import RunFacts
from heads.report.strips import Strip, StripMaker
from heads.report.tables.cells import Column, Row, Table, columns, number, text

_LISTED = 50
_PICTURED = 8
_SHOWN_CLASSES = 3
_RIGHT = 0.5


@dataclass(frozen=True, kw_only=True)
class Card:
    """A clip with what is said of it: `labelled`, `predicted`, why it is here, and a link to its file, "" for none."""

    clip_id: str
    link: str
    labelled: str
    predicted: str
    why: str
    strip: Strip


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A list of clips.

    Attributes:
        heading: of the list.
        meaning: what it means.
        table: the clips.
        cards: of the first clips; none without pictures.
        csv: the address of the list as CSV, with a column to fill in.
    """

    heading: str
    meaning: str
    table: Table
    cards: tuple[Card, ...]
    csv: str


@dataclass(frozen=True, kw_only=True)
class _Ranking:
    key: str
    heading: str
    meaning: str
    column: Column
    caption: str
    clips: Sequence[int]
    scores: Sequence[float]
    why: Sequence[str]
    pictured: int = _PICTURED


def clip_listings(facts: RunFacts, strips: StripMaker | None, files: ClipFiles | None) -> list[Listing]:
    """The lists; a list that holds no clip is left out.

    Args:
        facts: of the run.
        strips: makes the cards' pictures; there are no cards if it is None.
        files: finds the clips' files; there are no links to them if it is None.
    """
    made = (_mistakes(facts), _right(facts), _suspects(facts), _undecided(facts), _disputed(facts))
    rankings = [each for each in made if each is not None and each.clips]
    pictured = [facts.blend.ids[clip] for each in rankings for clip in each.clips[: each.pictured]]
    pictures = {} if strips is None else strips.make(list(dict.fromkeys(pictured)))
    listed = dict.fromkeys(facts.blend.ids[clip] for each in rankings for clip in each.clips)
    links = {} if files is None else {clip_id: files.link(clip_id) for clip_id in listed}
    return [
        Listing(
            heading=each.heading,
            meaning=each.meaning,
            table=_table(facts, each, links),
            cards=_cards(facts, each, pictures, links) if pictures else (),
            csv=_csv(facts, each),
        )
        for each in rankings
    ]


def _mistakes(facts: RunFacts) -> _Ranking:
    return _highest(
        loss_per_clip(facts.values, facts.blend.probabilities),
        key="worst",
        heading="Most confident mistakes",
        meaning="Where the blend is most wrong, either the clip is hard or its label is.",
        column=Column(label="Loss", hint="Sum of its log losses over species"),
        caption="The {} clips on which the chosen blend is most wrong",
        why="loss {:.1f}",
    )


def _right(facts: RunFacts) -> _Ranking | None:
    """The surest right answers, species in turn: what the models recognise, beside what they do not."""
    said, shown = facts.blend.probabilities, facts.values == 1
    top = said.argmax(axis=1)
    right = np.flatnonzero(shown[np.arange(len(top)), top] & (said.max(axis=1) >= _RIGHT))
    rank = pd.Series(said[right, top[right]]).groupby(top[right]).rank(method="first", ascending=False)
    clips = right[np.lexsort((-said[right, top[right]], rank.to_numpy()))][:_LISTED]
    if not len(clips):
        return None
    return _Ranking(
        key="right",
        heading="Answers that are right",
        meaning="The surest right answers of each species in turn: what the blend recognises, to be held beside what "
        "it gets wrong.",
        column=Column(label="Probability", hint="That the blend gives the class"),
        caption=f"{len(clips)} of {len(right)} right answers of {_RIGHT:g} or more",
        clips=clips.tolist(),
        scores=said[clips, top[clips]].tolist(),
        why=[f"{facts.blend.classes[top[clip]]} {said[clip, top[clip]]:.2f}" for clip in clips.tolist()],
        pictured=_PICTURED // 2,
    )


def _suspects(facts: RunFacts) -> _Ranking | None:
    classes, said = facts.blend.classes, facts.blend.probabilities
    known = classes_known(facts.values, facts.folds.of(facts.blend.ids))
    found = suspect_labels(facts.values, said, known)
    listed = found[:_LISTED]
    if not listed:
        return None
    unknown = (facts.values == 1) & ~known
    lost = [classes[column] for column in np.flatnonzero(unknown.any(axis=0))]
    left_out = (
        f" Left out: {unknown.any(axis=1).sum()} clips of {', '.join(lost)}, which no model that was asked about them "
        "had ever seen, since all clips of the class stand in one fold."
        if lost
        else ""
    )
    return _Ranking(
        key="suspects",
        heading="Labels that are probably wrong",
        meaning="The blend, which never saw these labels, finds them twenty times less credible, or more, than it "
        "usually finds labels of their kind. Look at them before you trust the scores of rare species." + left_out,
        column=Column(label="Excess", hint="How much less credible the label is than others of its kind, in nats"),
        caption=f"{len(listed)} of {len(found)} suspect labels, the least credible first",
        clips=[each.clip for each in listed],
        scores=[each.excess for each in listed],
        why=[_against(each, classes, said[each.clip]) for each in listed],
    )


def _against(suspect: Suspect, classes: Sequence[str], said: NDArray[np.float64]) -> str:
    """What speaks against a label."""
    own, other = suspect.labelled, suspect.instead
    told = []
    if own is not None and suspect.usual is not None:
        told.append(f"{classes[own]} gets {said[own]:.2f}, usually {suspect.usual:.2f}")
    if other is not None:
        told.append(f"{classes[other]} gets {said[other]:.2f}")
    return "; ".join(told)


def _undecided(facts: RunFacts) -> _Ranking:
    return _highest(
        entropy(facts.blend.probabilities),
        key="undecided",
        heading="Most uncertain",
        meaning="Where the blend cannot decide: labels for clips like these would teach it most.",
        column=Column(label="Entropy", hint="In nats, summed over species"),
        caption="The {} clips of which the chosen blend is least sure",
        why="entropy {:.2f}",
    )


def _disputed(facts: RunFacts) -> _Ranking | None:
    classes = facts.blend.classes
    full = [each.select(facts.blend.ids) for each in facts.oof if set(each.classes) == set(classes)]
    if len(full) < 2:
        return None
    return _highest(
        jensen_shannon([each.only(classes).probabilities for each in full]),
        key="disputed",
        heading="Most disagreed",
        meaning="Where the models contradict each other: one of them saw what the others did not.",
        column=Column(label="Disagreement", hint="Entropy of the models' mean minus mean of their entropies, in nats"),
        caption="The {} clips on which models disagree most",
        why="disagreement {:.2f}",
    )


def _highest(
    scores: NDArray[np.float64], *, key: str, heading: str, meaning: str, column: Column, caption: str, why: str
) -> _Ranking:
    """The clips with the highest scores; `caption` has a place for their number, and `why` for a score."""
    clips = np.argsort(-scores, kind="stable")[:_LISTED]
    listed = scores[clips].tolist()
    return _Ranking(
        key=key,
        heading=heading,
        meaning=meaning,
        column=column,
        caption=caption.format(len(clips)),
        clips=clips.tolist(),
        scores=listed,
        why=[why.format(score) for score in listed],
    )


def _table(facts: RunFacts, ranking: _Ranking, links: Mapping[str, str]) -> Table:
    told = ranking.key == "suspects"
    rows = [
        Row(
            cells=(
                text(facts.blend.ids[clip], link=links.get(facts.blend.ids[clip], "")),
                text(_labelled(facts, clip)),
                text(why if told else _predicted(facts, clip)),
                number(score, 3),
                text(facts.groups[clip] if facts.has_sites else "", tone="quiet"),
            )
        )
        for clip, score, why in zip(ranking.clips, ranking.scores, ranking.why, strict=True)
    ]
    table = Table(
        key=ranking.key,
        caption=ranking.caption,
        columns=(
            *columns(("Clip", "", "text"), ("Labelled", "", "text")),
            Column(label="What speaks against it" if told else "Predicted", kind="text"),
            ranking.column,
            Column(label="Site", kind="text"),
        ),
        rows=tuple(rows),
        filter_label="Filter clips",
    )
    return table if facts.has_sites else table.without("Site")


def _csv(facts: RunFacts, ranking: _Ranking) -> str:
    """The list as the address of a CSV file, with an empty column for what the clip really shows."""
    frame = pd.DataFrame(
        {
            "filename": [facts.blend.ids[clip] for clip in ranking.clips],
            **({"site": [facts.groups[clip] for clip in ranking.clips]} if facts.has_sites else {}),
            "labelled": [_labelled(facts, clip) for clip in ranking.clips],
            "predicted": [_predicted(facts, clip) for clip in ranking.clips],
            "why": list(ranking.why),
            CORRECT: "",
        }
    )
    return "data:text/csv;charset=utf-8," + quote("\ufeff" + frame.to_csv(index=False, lineterminator="\r\n"))


def _cards(
    facts: RunFacts, ranking: _Ranking, strips: Mapping[str, Strip], links: Mapping[str, str]
) -> tuple[Card, ...]:
    return tuple(
        Card(
            clip_id=facts.blend.ids[clip],
            link=links.get(facts.blend.ids[clip], ""),
            labelled=_labelled(facts, clip),
            predicted=_predicted(facts, clip),
            why=why,
            strip=strips[facts.blend.ids[clip]],
        )
        for clip, why in list(zip(ranking.clips, ranking.why, strict=True))[: ranking.pictured]
    )


def _labelled(facts: RunFacts, clip: int) -> str:
    return in_words(facts.blend.classes, facts.values[clip])


def _predicted(facts: RunFacts, clip: int) -> str:
    said = facts.blend.probabilities[clip]
    top = np.argsort(-said, kind="stable")[:_SHOWN_CLASSES]
    return ", ".join(f"{facts.blend.classes[column]} {said[column]:.2f}" for column in top)
