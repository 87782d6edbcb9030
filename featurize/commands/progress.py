"""What featurize prints before it begins and when it is done."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from featurize.pipeline.discover import name_suffixes
from featurize.pipeline.estimate import CostEstimate
from featurize.pipeline.plan import Plan
from featurize.pipeline.summary import Summary
from store.console import human_bytes, human_seconds, stdout_console
from store.ids import counted, name_a_few


def estimate_facts(plan: Plan, expected: CostEstimate, seconds: float | None) -> dict[str, Any]:
    """A cost estimate as plain values; `seconds` None where it was not measured."""
    return {
        "clips": plan.clips,
        "to_do": len(plan.tasks),
        "skipped": plan.skipped,
        "left": len(plan.left),
        "unreached": len(plan.unreached),
        "unlisted": len(plan.unlisted),
        "frames": expected.frames,
        "disk_bytes": expected.disk_bytes,
        "seconds": None if seconds is None else round(seconds, 1),
        "keys": [key.folder for key in plan.keys.values()],
    }


def print_estimate(console: Console, facts: dict[str, Any]) -> None:
    """One or two lines that say what is about to be done."""
    console.print(
        f"{counted(facts['clips'], 'clip')}: {facts['to_do']} to do, {facts['skipped']} done already"
        f"{_left_by_limit(facts)}; "
        f"about {counted(facts['frames'], 'frame')} and {human_bytes(facts['disk_bytes'])} of disk"
        + (f", roughly {human_seconds(facts['seconds'])}" if facts["seconds"] is not None else "")
        + (f"; {counted(facts['unreached'], 'clip')} cannot be reached now" if facts["unreached"] else "")
        + (f"; {counted(facts['unlisted'], 'folder')} cannot be listed" if facts["unlisted"] else "")
    )
    for folder in facts["keys"]:
        console.print(f"  features/{folder}", highlight=False)


def summary_facts(summary: Summary, store: str) -> dict[str, Any]:
    """The outcome of a run as plain values."""
    seconds = max(summary.seconds, 1e-9)
    return {
        "store": store,
        "clips": summary.clips,
        "skipped": summary.skipped,
        "left": summary.left,
        "failed_before": summary.failed_before,
        "partial_before": summary.partial_before,
        "done": summary.done,
        **{status.value: count for status, count in summary.statuses.items()},
        "frames": summary.frames,
        "seen_whole": sum(summary.seen_whole.values()),
        "seen_whole_by": dict(summary.seen_whole),
        "without_background": summary.uncompared,
        "without_sound": summary.unheard,
        "seconds": round(seconds, 2),
        "clips_per_s": round(summary.decoded / seconds, 3),
        "frames_per_s": round(summary.frames / seconds, 2),
        "share_waiting_for_decode": round(summary.wait_s / max(summary.working_s, 1e-9), 3),
        "failures": _with_reasons("clip_id", summary.failures),
        "unreached": _with_reasons("clip_id", summary.unreached),
        "unlisted": _with_reasons("folder", summary.unlisted),
        "several_video_tracks": list(summary.many_tracks),
        "passed_over": dict(sorted(summary.passed_over.items())),
    }


def print_summary(facts: dict[str, Any]) -> None:
    """The outcome for a person, on stdout."""
    console = stdout_console()
    before = (("had failed before", facts["failed_before"]), ("had broken part way before", facts["partial_before"]))
    told = [f"{count} clip{'' if count == 1 else 's'} {what}" for what, count in before if count]
    if told:
        console.print(f"{', '.join(told)}; --retry-failed does them again", soft_wrap=True)
    if facts["done"] or facts["failed"]:
        _print_done(console, facts)
    else:
        console.print(
            f"nothing to do: {facts['skipped']} of {facts['clips']} clips were done before{_left_by_limit(facts)}"
        )
    _print_reasons(console, "failed clip", facts["failures"])
    _print_reasons(console, "not reached", facts["unreached"])
    _print_reasons(console, "not listed", facts["unlisted"])
    _print_many_tracks(console, facts["several_video_tracks"])
    _print_passed_over(console, facts["passed_over"])
    if facts["done"] or facts["failed"]:
        console.print(f"store: {facts['store']}", soft_wrap=True)


def preview_facts(
    sheets: int, folder: Path, failures: Sequence[tuple[str, str]], unlisted: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """The outcome of writing contact sheets as plain values."""
    return {
        "sheets": sheets,
        "folder": str(folder),
        "failures": _with_reasons("clip_id", failures),
        "unlisted": _with_reasons("folder", unlisted),
    }


def print_previews(facts: dict[str, Any]) -> None:
    """The outcome of writing contact sheets for a person, on stdout."""
    console = stdout_console()
    _print_reasons(console, "failed clip", facts["failures"])
    _print_reasons(console, "not listed", facts["unlisted"])
    console.print(f"{facts['sheets']} contact sheets in {facts['folder']}", soft_wrap=True)


def _print_done(console: Console, facts: dict[str, Any]) -> None:
    console.print(
        f"{counted(facts['done'], 'clip')} done ({facts['ok']} ok, {facts['short']} short, {facts['partial']} partial),"
        f" {facts['failed']} failed, {facts['skipped']} done before{_left_by_limit(facts)}; {facts['frames']} frames "
        f"in {human_seconds(facts['seconds'])} ({facts['clips_per_s']:.2f} clips/s, {facts['frames_per_s']:.0f} "
        f"frames/s, {facts['share_waiting_for_decode']:.0%} waiting for decode)",
        soft_wrap=True,
    )
    for view, clips in facts["seen_whole_by"].items():
        console.print(
            f"the {view} view showed whole frames of {counted(clips, 'clip')} in which it found nothing to cut out, "
            "as in most blank ones (`--preview` shows what it finds)",
            soft_wrap=True,
        )
    if facts["short"]:
        console.print(
            "short: fewer frames than were asked for, and none is repeated; no damage where clips simply have fewer a "
            "second (`store ls` has the reasons)",
            soft_wrap=True,
        )
    if facts["without_background"]:
        console.print(
            f"{counted(facts['without_background'], 'clip', 'have')} too few others of the "
            "same framing to be compared with; there the animal view sees what the motion view does",
            soft_wrap=True,
        )
    if facts["without_sound"]:
        console.print(
            f"{counted(facts['without_sound'], 'clip', 'have')} no sound that could be decoded; rows of sound say why",
            soft_wrap=True,
        )


def _print_reasons(console: Console, title: str, rows: Sequence[dict[str, str]]) -> None:
    if rows:
        table = Table(title, "reason", box=None, pad_edge=False)
        for row in rows:
            table.add_row(*row.values())
        console.print(table)


def _print_many_tracks(console: Console, ids: Sequence[str]) -> None:
    if ids:
        what = "clip holds" if len(ids) == 1 else "clips hold"
        console.print(
            f"{len(ids)} {what} several video tracks, of which the default one was taken, else the largest: "
            f"{name_a_few(ids)}",
            soft_wrap=True,
        )


def _print_passed_over(console: Console, counts: dict[str, int]) -> None:
    if counts:
        files, named = sum(counts.values()), name_suffixes(counts)
        what = "file was passed over, which does" if files == 1 else "files were passed over, which do"
        console.print(f"{files} {what} not end as clips do: {named}", soft_wrap=True)


def _with_reasons(what: str, found: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{what: name, "reason": reason} for name, reason in found]


def _left_by_limit(facts: dict[str, Any]) -> str:
    return f", {facts['left']} left by --limit" if facts["left"] else ""
