"""The clips that deserve a look: four lists of them, as tables and, where pictures can be had, as cards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heads.evaluation.review import entropy, jensen_shannon, loss_per_clip, suspect_labels
from heads.report.run_facts import RunFacts
from heads.report.strips import Strip, StripMaker
from heads.report.tables.cells import Column, Row, Table, columns, number, text

_LISTED = 50
_PICTURED = 8
_SHOWN_CLASSES = 3


@dataclass(frozen=True, kw_only=True)
class Card:
    """A clip with what is said of it: `labelled`, `predicted`, and why it is here."""

    clip_id: str
    labelled: str
    predicted: str
    why: str
    strip: Strip


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A list of clips: the heading, what it means, the table, and cards of the first clips (none without pictures)."""

    heading: str
    meaning: str
    table: Table
    cards: tuple[Card, ...]


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


def clip_listings(facts: RunFacts, strips: StripMaker | None) -> list[Listing]:
    """The lists; a list that holds no clip is left out.

    Args:
        facts: of the run.
        strips: makes the cards' pictures; there are no cards if it is None.
    """
    rankings = [each for each in (_mistakes(facts), _suspects(facts), _undecided(facts), _disputed(facts)) if each]
    pictured = [facts.blend.ids[clip] for each in rankings for clip in each.clips[:_PICTURED]]
    made = {} if strips is None else strips.make(list(dict.fromkeys(pictured)))
    return [
        Listing(
            heading=each.heading,
            meaning=each.meaning,
            table=_table(facts, each),
            cards=_cards(facts, each, made) if made else (),
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


def _suspects(facts: RunFacts) -> _Ranking | None:
    found = suspect_labels(facts.values, facts.blend.probabilities)
    listed = found[:_LISTED]
    if not listed:
        return None
    credible = [each.probability if each.labelled else 1 - each.probability for each in listed]
    why = [
        f"labelled {facts.blend.classes[each.column]}, which the blend gives {each.probability:.2f}"
        if each.labelled
        else f"not labelled {facts.blend.classes[each.column]}, which the blend gives {each.probability:.2f}"
        for each in listed
    ]
    return _Ranking(
        key="suspects",
        heading="Labels that are probably wrong",
        meaning="The blend, which never saw these labels, contradicts them with more confidence than it usually has "
        "for clips labelled so. Look at them before you trust the scores of rare species.",
        column=Column(label="P(label)", hint="Probability that the label is right, by the blend"),
        caption=f"{len(listed)} of {len(found)} suspect labels, the least credible first",
        clips=[each.clip for each in listed],
        scores=credible,
        why=why,
    )


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


def _table(facts: RunFacts, ranking: _Ranking) -> Table:
    told = ranking.key == "suspects"
    rows = [
        Row(
            cells=(
                text(facts.blend.ids[clip]),
                text(_labelled(facts, clip)),
                text(why if told else _predicted(facts, clip)),
                number(score, 3),
                text(facts.groups[clip] if facts.has_sites else "", tone="quiet"),
            )
        )
        for clip, score, why in zip(ranking.clips, ranking.scores, ranking.why, strict=True)
    ]
    return Table(
        key=ranking.key,
        caption=ranking.caption,
        columns=(
            *columns(("Clip", "", "text"), ("Labelled", "", "text")),
            Column(label="Suspect" if told else "Predicted", kind="text"),
            ranking.column,
            Column(label="Site", kind="text"),
        ),
        rows=tuple(rows),
        filter_label="Filter clips",
    )


def _cards(facts: RunFacts, ranking: _Ranking, strips: Mapping[str, Strip]) -> tuple[Card, ...]:
    return tuple(
        Card(
            clip_id=facts.blend.ids[clip],
            labelled=_labelled(facts, clip),
            predicted=_predicted(facts, clip),
            why=why,
            strip=strips[facts.blend.ids[clip]],
        )
        for clip, why in list(zip(ranking.clips, ranking.why, strict=True))[:_PICTURED]
    )


def _labelled(facts: RunFacts, clip: int) -> str:
    true = np.flatnonzero(facts.values[clip])
    return ", ".join(facts.blend.classes[column] for column in true) or "none of the classes"


def _predicted(facts: RunFacts, clip: int) -> str:
    said = facts.blend.probabilities[clip]
    top = np.argsort(-said, kind="stable")[:_SHOWN_CLASSES]
    return ", ".join(f"{facts.blend.classes[column]} {said[column]:.2f}" for column in top)
