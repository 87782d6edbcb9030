"""The tables about the run itself: fold balance, clips that decoded badly, settings."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from heads.evaluation.standard_errors import clip_losses
from heads.recipe import HeadConfig
from heads.recipe.describe import descriptions
from heads.report.run_facts import RunFacts
from heads.report.tables.cells import Column, Row, Table, change, columns, number, percent, text

_MOST_ROWS = 1000


def balance_rows(facts: RunFacts) -> Table:
    """How many clips of each species each fold holds."""
    frame = facts.balance
    folds = [f"fold_{fold}" for fold in range(facts.folds.n_folds)]
    rows = [
        Row(
            cells=(
                text(name),
                number(row["clips"]),
                number(row["groups"]),
                *(number(row[fold]) for fold in folds),
                percent(row["largest_share"]),
                text("rare" if row["rare"] else "", tone="bad" if row["untrained_folds"] else "quiet"),
            )
        )
        for name, row in zip(frame.index.tolist(), frame.to_dict("records"), strict=True)
    ]
    fewer = "at fewer sites" if facts.has_sites else "in fewer clips"
    table = Table(
        key="balance",
        caption="Clips of each species in each fold",
        columns=(
            *columns(("Species", "", "text"), ("Clips", "", "number"), ("Sites", "Sites (groups) with it", "number")),
            *(Column(label=f"Fold {fold}") for fold in range(facts.folds.n_folds)),
            *columns(
                ("Largest share", "Of its clips in one fold; even is 1 / folds", "number"),
                ("", f"rare: {fewer} than there are folds, so some fold cannot score it", "text"),
            ),
        ),
        rows=tuple(rows),
    )
    return table if facts.has_sites else table.without("Sites")


def sites_table(facts: RunFacts) -> Table | None:
    """How well the blend does at each site, worst first; None if sites are not known."""
    if facts.labels.sites is None:
        return None
    losses = clip_losses(facts.values, facts.blend.probabilities)
    top = facts.values[np.arange(len(losses)), facts.blend.probabilities.argmax(axis=1)]
    frame = pd.DataFrame({"site": facts.labels.sites, "loss": losses, "right": top, "any": facts.values.any(axis=1)})
    frame["fold"] = facts.folds.of(facts.blend.ids)
    sites = frame.groupby("site").agg(
        clips=("loss", "size"),
        loss=("loss", "mean"),
        right=("right", "sum"),
        labelled=("any", "sum"),
        fold=("fold", "min"),
    )
    shown = sites.sort_values("loss", ascending=False).head(_MOST_ROWS)
    widest = float(shown["loss"].max()) or 1.0
    rows = [
        Row(
            cells=(
                text(str(site)),
                number(row["clips"]),
                number(row["loss"], 4, bar=row["loss"] / widest),
                percent(row["right"] / row["labelled"] if row["labelled"] else None),
                number(row["fold"]),
            )
        )
        for site, row in zip(shown.index.tolist(), shown.to_dict("records"), strict=True)
    ]
    left_out = len(sites) - len(rows)
    return Table(
        key="sites",
        caption="Sites under the chosen blend, worst first",
        columns=columns(
            ("Site", "", "text"),
            ("Clips", "", "number"),
            ("Log loss", "Mean over its clips and all species", "number"),
            ("Top 1", "Share of its labelled clips whose most probable species is right", "number"),
            ("Fold", "In which it was scored", "number"),
        ),
        rows=tuple(rows),
        filter_label="Filter sites",
        note=f"{left_out:,} further sites do better than these." if left_out else "",
    )


def splits_table(facts: RunFacts) -> Table | None:
    """What scores would be if clips of one site stood on both sides; None if that was not tried."""
    if not facts.splits:
        return None
    rows = [
        Row(cells=(text(row["head"]), *(number(row[key], 4) for key in ("by_site", "random", "gap"))))
        for row in facts.splits
    ]
    return Table(
        key="splits",
        caption="Sites kept whole, and random folds",
        columns=columns(
            ("Model", "", "text"),
            ("Sites whole", "Log loss at sites that the model never saw", "number"),
            ("Random", "Log loss with clips of one site on both sides", "number"),
            ("Gap", "By how much a random split flatters", "number"),
        ),
        rows=tuple(rows),
    )


def time_table(facts: RunFacts) -> Table | None:
    """How the latest clips of each place are answered, by models of other sites and of its past; None if not tried."""
    if not facts.time_split:
        return None
    rows = [
        Row(cells=(text(row["head"]), *(number(row[key], 4) for key in ("by_site", "by_time", "gap"))))
        for row in facts.time_split
    ]
    return Table(
        key="time",
        caption=f"New sites, and the future of known ones: the latest {facts.time_split[0]['clips']:,} clips",
        columns=columns(
            ("Model", "", "text"),
            ("New sites", f"Log loss by models that saw nothing of these {facts.units}", "number"),
            (
                "Known sites, later",
                "Log loss by models that saw the past of the same sites, and nothing later",
                "number",
            ),
            ("Gap", "By how much knowing the past of a site helps", "number"),
        ),
        rows=tuple(rows),
    )


def events_table(facts: RunFacts) -> Table | None:
    """The chosen blend's scores of clips and of events; None if no event has several clips."""
    found = facts.metrics.get("events")
    if not found:
        return None
    rows = [
        Row(
            cells=(
                text(what),
                number(count),
                number(scores["mean_log_loss"], 4),
                number(scores["map"], 3),
                percent(scores["top_1"]),
            )
        )
        for what, count, scores in (
            ("Clips", found["clips"], found["by_clip"]),
            ("Events", found["events"], found["by_event"]),
        )
    ]
    return Table(
        key="events",
        caption="Clips, and events: clips of one place that follow each other closely",
        columns=columns(
            ("Unit", "An event is as probable as its most probable clip, blank as its least", "text"),
            ("Number", "", "number"),
            ("Log loss", "Mean over all species", "number"),
            ("mAP", "Mean average precision", "number"),
            ("Top 1", "Share whose most probable species is right", "number"),
        ),
        rows=tuple(rows),
    )


def pseudo_labels_table(facts: RunFacts) -> Table | None:
    """What learning from clips without labels did in each fold; None if no head did."""
    found = [
        (name, judgement)
        for name, head in facts.heads.items()
        for judgement in head.get("pseudo_labels") or ()
        if judgement is not None
    ]
    rows = [
        Row(
            cells=(
                text(name),
                number(each["fold"]),
                number(each["inner"]),
                number(each["before"], 4),
                number(each["after"], 4),
                change(None if each["before"] is None else each["after"] - each["before"]),
                text("kept" if each["kept"] else "dropped", tone="" if each["kept"] else "quiet"),
            )
        )
        for name, each in found
    ]
    if not rows:
        return None
    kept = sum(each["kept"] for _, each in found)
    return Table(
        key="pseudo-labels",
        caption=f"What clips without labels taught: kept in {kept} of {len(rows)} folds",
        columns=columns(
            ("Model", "", "text"),
            ("Fold", "The fold whose model it is about", "number"),
            ("Judged on", "The fold that the judge had not seen either", "number"),
            ("Before", "Log loss of the judge before it learned from clips without labels", "number"),
            ("After", "Log loss of the judge after that", "number"),
            ("Change", "Negative: it helped", "number"),
            ("Outcome", "Whether the fold kept what it learned", "text"),
        ),
        rows=tuple(rows),
    )


def bad_clips_table(facts: RunFacts) -> Table:
    """The clips that did not decode cleanly, with the reason."""
    rows = [
        Row(
            cells=(
                text(record["clip_id"]),
                text(record["status"], tone="bad" if record["status"] == "failed" else ""),
                text(record["reason"]),
                text(record["source"], tone="quiet"),
            )
        )
        for record in facts.clips.head(_MOST_ROWS).to_dict("records")
    ]
    left_out = len(facts.clips) - len(rows)
    return Table(
        key="clips",
        caption=f"{len(facts.clips):,} entries",
        columns=columns(("Clip", "", "text"), ("Status", "", "text"), ("Reason", "", "text"), ("Source", "", "text")),
        rows=tuple(rows),
        filter_label="Filter clips",
        note=f"{left_out:,} further entries are in the run's clips.csv." if left_out else "",
    )


def settings_tables(facts: RunFacts) -> list[Table]:
    """What each head was made from, key by key, and what each of its settings is."""
    meanings = {f"settings.{name}": told for name, told in descriptions(HeadConfig).items()}
    return [
        Table(
            key=f"head-{place}",
            caption=name,
            columns=columns(("Setting", "", "text"), ("Value", "", "text"), ("What it is", "", "text")),
            rows=tuple(
                Row(cells=(text(key), text(value), text(meanings.get(key, ""), tone="quiet")))
                for key, value in _flat(head)
            ),
        )
        for place, (name, head) in enumerate({**facts.heads, **facts.added}.items())
    ]


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield from _flat(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)
