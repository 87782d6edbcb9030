"""`featurize --triage`: which clips are blank, before any label exists."""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from featurize.commands.progress import summary_facts
from featurize.commands.run import print_progress, print_warning
from featurize.pipeline.glance.triage import judge, triage_request, triage_views, verdict_counts, write_verdicts
from featurize.pipeline.request import carry_out
from featurize.remote.root import Remote
from featurize.views.registry import find_view
from store import FeatureStore
from store.console import print_json, stderr_console, stdout_console
from store.ids import counted


def write_triage(
    videos: Sequence[Path | Remote],
    out: Path,
    *,
    store: Path | None,
    workers: int | None,
    limit: int | None,
    retry_failed: bool,
    as_json: bool,
    sites: Path | None = None,
) -> int:
    """Say of each clip whether it is blank, in a table at `out`, and return how much was not to be had.

    Args:
        videos: folders of clips, or single files.
        out: the table.
        store: folder of the store that keeps the evidence, so that the next time goes on from there; None to keep none.
        workers: decoding threads.
        limit: most clips to do.
        retry_failed: whether clips that failed before or broke part way are done again.
        as_json: whether to print the outcome as JSON.
        sites: a table that says of which deployment clips are.

    Raises:
        TraplineError: a folder that does not exist, or a table that cannot be written.
    """
    views = triage_views()
    if not any(find_view(view).needs_detector for view in views):
        stderr_console().print(
            "without the detector, whose weights are not here (`featurize weights megadetector_lite` fetches them)",
            soft_wrap=True,
        )
    request = triage_request(videos, views, limit=limit, workers=workers, retry_failed=retry_failed, sites=sites)
    with ExitStack() as stack:
        root = store or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trapline-")))
        summary = carry_out(request, root, watch=print_progress, on_warning=print_warning)
        judged = judge(videos, FeatureStore.open(root), views)
        write_verdicts(out, judged)
    done = summary_facts(summary, str(store or ""))
    failed = [{"clip_id": each.clip.clip_id, "reason": each.reason} for each in judged if each.evidence is None]
    facts: dict[str, Any] = {
        "out": str(out),
        "store": done["store"],
        "detector": any(find_view(view).needs_detector for view in views),
        "clips": len(judged),
        **{name.replace(" ", "_"): count for name, count in verdict_counts(judged).items()},
        "failures": failed,
        **{name: done[name] for name in ("without_background", "left", "unreached", "unlisted", "seconds")},
    }
    print_json(facts) if as_json else _print(facts)
    return len(failed) + len(facts["unreached"]) + len(facts["unlisted"])


def _print(facts: dict[str, Any]) -> None:
    console = stdout_console()
    console.print(
        f"{counted(facts['clips'], 'clip')}: {facts['blank']} blank, {facts['animal']} with an animal, "
        f"{facts['cannot_say']} of which that cannot be said, {facts['failed']} failed; written to {facts['out']}",
        soft_wrap=True,
    )
    if facts["without_background"]:
        console.print(
            f"{counted(facts['without_background'], 'clip')} had too few others of the same framing to be compared "
            "with: an animal that rests all through one is seen by the detector only",
            soft_wrap=True,
        )
    for each in facts["failures"]:
        console.print(f"failed: {each['clip_id']}: {each['reason']}", soft_wrap=True)
