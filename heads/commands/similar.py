"""What `heads similar` does, once its words are parsed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.table import Table

from heads.data.matching import match_clips, parse_id_map, unknown_clips
from heads.data.reading.sites import places_of
from heads.run import RunDirectory
from heads.selection.embedding import choose_key, embed
from heads.selection.neighbours import nearest
from heads.workflows.answers.output import require_writable, write_table
from heads.workflows.resolve import choose_keys
from store import FeatureStore
from store.console import native_chatter, print_json, stderr_console, stdout_console


def similar(
    store_root: Path,
    clips: Sequence[str],
    *,
    count: int,
    run_folder: Path | None,
    sites: Path | None,
    site_pattern: str | None,
    other_sites: bool,
    id_map: Sequence[str],
    features: Sequence[str],
    out: Path | None,
    as_json: bool,
) -> None:
    """Find the clips that look most like some, and print or write them."""
    if out is not None:
        require_writable(out)
    store = FeatureStore.open(store_root)
    reader = store.reader(choose_key(store, choose_keys(store, features)))
    site_of, notes = places_of(reader.ids, sites=sites, site_pattern=site_pattern, id_map=parse_id_map(id_map))
    if run_folder is not None:
        run = RunDirectory(run_folder)
        site_of = {**run.read_unlabelled_sites(), **run.read_labels().known_sites, **site_of}
    matches = match_clips(clips, reader.ids, "the command line", parse_id_map(id_map))
    for sentence in (*notes, *matches.notes):
        stderr_console().print(sentence, highlight=False, soft_wrap=True)
    if matches.unknown:
        raise unknown_clips("similar", list(matches.unknown), reader.ids, "name clips of the store", "the store")
    with native_chatter(shown=False):  # the first time features are read, TensorFlow is loaded
        embedding = embed(reader, site_of)
    asked = reader.index_of([matches.rename(clip) for clip in clips]).tolist()
    allowed = None
    if other_sites:
        theirs = {site_of.get(reader.ids[row], "") for row in asked}
        allowed = np.array([site_of.get(clip_id, "") not in theirs for clip_id in reader.ids], bool)
    found = pd.DataFrame(
        [
            {
                "clip_id": reader.ids[each.row],
                "similarity": each.similarity,
                "like": reader.ids[each.like],
                "site": site_of.get(reader.ids[each.row], ""),
            }
            for each in nearest(embedding.vectors, asked, count, allowed)
        ],
        columns=["clip_id", "similarity", "like", "site"],
    )
    if out is not None:
        write_table(out, found)
    if as_json:
        print_json({"source": embedding.source, "similar": found.to_dict("records")})
        return
    table = Table(box=None, pad_edge=False)
    for column in ("clip", "alike", "like", "site"):
        table.add_column(column, justify="right" if column == "alike" else "left", overflow="fold")
    for row in found.itertuples(index=False):
        table.add_row(str(row.clip_id), f"{row.similarity:.3f}", str(row.like), str(row.site))
    stdout_console().print(table)
