"""What the `store` command prints: plain JSON values, and the same as lines of text."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from store.access.index import PartCache
from store.console import human_bytes
from store.featurestore import FeatureStore
from store.format.clip_part import load_clip_ids
from store.ids import counted
from store.key import HALVES, FeatureKey
from store.maintenance.compact import Compaction
from store.maintenance.repair import Repair
from store.maintenance.standing import StandingBox
from store.maintenance.sweep import Sweep

Row = dict[str, Any]


def store_facts(store: FeatureStore) -> Row:
    """The store's keys, with counts, and the number of clips in the clip table."""
    parts = PartCache(store.root / "clips", load_clip_ids).parts()
    clips = {clip_id for clip_ids in parts for clip_id in clip_ids}
    return {"root": str(store.root), "clip_table": {"clips": len(clips)}, "keys": key_rows(store)}


def key_rows(store: FeatureStore) -> list[Row]:
    """A row a key: names, dimensions, counts."""
    keys = store.keys()
    return [
        {
            "source": key.source,
            "folder": key.folder,
            "dim": key.dim,
            "taps": dict(key.taps),
            "sampling": dict(key.sampling),
            "precision": key.precision,
            "dtype": key.dtype,
            **asdict(store.info(key)),
        }
        for key in keys
    ]


def clip_rows(store: FeatureStore, source: str) -> list[Row]:
    """A row a clip of one key: id, status, frames, reason."""
    reader = store.reader(store.find(source))
    columns = zip(reader.ids, reader.status, reader.lengths.tolist(), reader.reasons, strict=True)
    return [
        {"clip_id": clip_id, "status": status, "frames": frames, "reason": reason}
        for clip_id, status, frames, reason in columns
    ]


def describe_store(facts: Row) -> str:
    """`store_facts` as text."""
    return "\n".join(
        [f"{facts['root']}: {counted(facts['clip_table']['clips'], 'clip')} known", *key_lines(facts["keys"])]
    )


def key_lines(rows: Iterable[Row]) -> list[str]:
    """`key_rows` as text."""
    return [
        f"{row['folder']}  {_sampled(row['sampling'])}  D {row['dim']}{_stored(row['dtype'])}  "
        f"{counted(row['clips'], 'clip')} ({_counts(row['statuses'])})  {row['frames']} frames  "
        f"{human_bytes(row['bytes'])} in {counted(row['parts'], 'part')}  {row['superseded']} superseded rows"
        for row in rows
    ]


def clip_lines(rows: Iterable[Row]) -> list[str]:
    """`clip_rows` as text, separated by tabs."""
    return [f"{row['clip_id']}\t{row['status']}\t{row['frames']}\t{row['reason']}".rstrip() for row in rows]


def repair_facts(done: Repair) -> Row:
    """What repairing did."""
    return {
        "quarantined": [{"from": str(old), "to": str(new), "problem": why} for old, new, why in done.quarantined],
        "restored": [str(path) for path in done.restored],
        "removed": [str(path) for path in done.removed],
        "unresolved": [problem.problem for problem in done.unresolved],
    }


def describe_repair(facts: Row) -> str:
    """`repair_facts` as text."""
    lines = [f"set aside {row['from']} as {row['to']}: {row['problem']}" for row in facts["quarantined"]]
    lines += [f"restored {path}" for path in facts["restored"]]
    lines += [f"removed leftover {path}" for path in facts["removed"]]
    lines += [f"left alone: {problem}" for problem in facts["unresolved"]]
    return "\n".join(lines or ["nothing to repair"])


def compaction_facts(done: Mapping[str, Compaction]) -> list[Row]:
    """What compacting did to each folder."""
    return [{"name": name, **asdict(compaction)} for name, compaction in done.items()]


def compaction_lines(rows: Iterable[Row]) -> list[str]:
    """`compaction_facts` as text."""
    return [
        f"{row['name']}: {row['parts_before']} parts -> {row['parts_after']}, {row['rows_dropped']} rows dropped"
        for row in rows
    ]


def describe_merge(facts: Mapping[str, Any]) -> str:
    """What merging did, as text."""
    copied = f", {human_bytes(facts['bytes'])} copied" if facts["bytes"] else ""
    known = counted(facts["clips"], "clip")
    return f"{counted(facts['parts'], 'part')} merged{copied}, {facts['present']} there already; {known} known"


def sweep_facts(store: FeatureStore, plan: Sweep) -> Row:
    """What a sweep would remove and what it would keep; nothing of it is removed yet."""
    cache = {"bytes": plan.cache_bytes, "unwanted_bytes": plan.useless_bytes, "removed_bytes": 0}
    unwanted = [key.folder for key in plan.keys]
    return {
        "unwanted": unwanted,
        "removed": [],
        "cache": cache,
        "orphans": [path.relative_to(store.root).as_posix() for path in plan.orphans],
        "keys": [row | {"goes": row["folder"] in unwanted} for row in key_rows(store)],
    }


def describe_sweep(facts: Row) -> str:
    """`sweep_facts` as text: what goes, what it would take to have it again, and what stays."""
    size, useless = (human_bytes(facts["cache"][name]) for name in ("bytes", "unwanted_bytes"))
    told = f"cached statistics: {size}"
    if facts["cache"]["unwanted_bytes"]:
        told += f", of which {useless} are of features that are not kept, or not in use any more"
    goes, stays = ([row for row in facts["keys"] if row["goes"] is each] for each in (True, False))
    lines = ["every key is wanted"] if not goes else []
    lines += [f"goes:  {line}" for line in key_lines(goes)]
    lines += [f"stays: {line}" for line in key_lines(stays)]
    if goes:
        clips, frames = max(row["clips"] for row in goes), sum(row["frames"] for row in goes)
        lines.append(
            f"what goes cannot be had back but by `featurize` again: {clips} clips to decode, {frames} frames through "
            "their networks"
        )
    if facts["orphans"]:
        lines.append(f"goes:  what no features are left of: {', '.join(facts['orphans'])}")
    return "\n".join([*lines, told])


def sweep_question(facts: Row) -> str:
    """What a person is asked before anything is removed."""
    what = [f"{len(facts['unwanted'])} keys and their features for good"] if facts["unwanted"] else []
    if facts["orphans"]:
        what.append(f"{counted(len(facts['orphans']), 'piece')} that no features are left of")
    if facts["cache"]["unwanted_bytes"]:
        what.append(f"{human_bytes(facts['cache']['unwanted_bytes'])} of cached statistics")
    return f"Remove {', and '.join(what)}?"


def describe_refresh(store: FeatureStore, compared: Sequence[FeatureKey]) -> str:
    """What forgetting backgrounds takes with it."""
    names = {key.folder for key in compared}
    lines = [f"goes:  {line}" for line in key_lines(row for row in key_rows(store) if row["folder"] in names)]
    return "\n".join([*lines, f"goes:  what the clips of {store.root} are seen against"])


def standing_lines(found: Sequence[StandingBox]) -> list[str]:
    """A line a place, under a heading; one sentence if there is none."""
    if not found:
        return ["no box stands at one place through four clips or more, and a quarter, of one framing"]
    heading = f"{'in clips':>12}  {'left':>5} {'top':>5} {'right':>5} {'bottom':>6}  such as"
    return [
        "places in shares of the frame's width and height; `featurize CLIP --preview FOLDER` shows one",
        heading,
        *(
            f"{f'{box.shown_in} of {box.clips}':>12}  {box.left:5.2f} {box.top:5.2f} {box.right:5.2f} {box.bottom:6.2f}"
            f"  {box.clip_id} at {box.time_s:.1f} s"
            for box in found
        ),
    ]


def _sampled(sampling: Mapping[str, Any]) -> str:
    """The settings of sampling that a person chooses, as `heads train --features` takes them."""
    words = {name: f"{sampling[name]:g}" for name in ("fps", "frames") if name in sampling}
    if sampling.get("mode") == "motion":
        words["mode"] = "motion"
    return " ".join(f"{name}={value}" for name, value in words.items())


def _stored(dtype: str) -> str:
    """What features are stored as, where that is not usual."""
    return "" if dtype == HALVES else f" {dtype}"


def _counts(statuses: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in statuses.items() if count) or "none"
