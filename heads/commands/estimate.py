"""What `heads train --dry-run` prints."""

from dataclasses import asdict
from functools import partial
from pathlib import Path

from rich.table import Table

from heads.data.sites import labels_and_sites
from heads.data.splits import deal_clips
from heads.recipe import Recipe
from heads.workflows.eligibility import find_unlabelled, sighted_heads, usable_labels
from heads.workflows.estimate import forecast
from heads.workflows.resolve import resolve_heads
from store import FeatureStore
from store.console import print_json, stderr_console, stdout_console
from store.ids import name_a_few


def show_forecast(
    store: FeatureStore,
    labels_path: Path,
    recipe: Recipe,
    *,
    sites: Path | None,
    site_pattern: str | None,
    allow_missing: bool,
    unlabelled: bool,
    as_json: bool,
) -> None:
    """Print how long each head of the recipe would take on this store; nothing is trained to its end or written."""
    labels, site_of = labels_and_sites(labels_path, store.clips().index, sites=sites, site_pattern=site_pattern)
    resolved = resolve_heads(recipe, store, labels.classes)
    note = partial(stderr_console().print, highlight=False, soft_wrap=True)
    for sentence in resolved.notes:
        note(sentence)
    readers = {key.folder: store.reader(key) for head in resolved.heads for key in head.keys}
    facts = store.clips()
    usable, _ = usable_labels(labels, readers, allow_missing=allow_missing)
    folds = deal_clips(usable, facts, recipe.folds, recipe.seed)[0]
    extra = len(find_unlabelled(labels, readers, site_of, note)) if unlabelled else 0
    heads = sighted_heads(resolved.heads, readers, usable, folds, note)
    found = [forecast(head, readers, facts, usable, folds, unlabelled=extra) for head in heads]
    if as_json:
        print_json([asdict(each) for each in found])
        return
    table = Table(box=None, pad_edge=False)
    for column in ("head", "members", "clips/s", "seconds", "cache MB"):
        table.add_column(column, justify="left" if column == "head" else "right")
    for each in found:
        row = (str(each.members), f"{each.clips_per_s:.0f}", f"{each.seconds:.0f}", f"{each.cache_bytes / 1e6:.0f}")
        table.add_row(each.head, *row)
    console = stdout_console()
    console.print(table)
    from_disk = [each.head for each in found if each.from_disk]
    if from_disk:
        console.print(
            f"memory cannot hold the frames of {name_a_few(from_disk)}: every epoch reads them from the disk again",
            soft_wrap=True,
        )
    together = sum(each.seconds for each in found)
    console.print(f"{len(usable.ids)} labelled clips, {extra} without labels; together {together:.0f} s")
