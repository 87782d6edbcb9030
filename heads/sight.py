"""Which clips heads can see: a clip may have frames under one source of features and none under another."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from heads.errors import TrainError
from heads.folds import Folds
from heads.joined import JoinError, Reader
from heads.labels import LabelTable
from heads.named import NamedHead
from heads.plan import plan_members
from store import FeatureReader, Status


def ids_with_frames(reader: Reader, ids: Sequence[str]) -> list[str]:
    """Those of some clips of a reader that have frames, in the order of `ids`."""
    return [clip_id for clip_id, row in zip(ids, reader.index_of(ids).tolist(), strict=True) if reader.lengths[row]]


def usable_labels(
    labels: LabelTable, readers: Mapping[str, FeatureReader], *, allow_missing: bool
) -> tuple[LabelTable, pd.DataFrame]:
    """The labelled clips that have frames under any key, and a table of those that are not OK somewhere."""
    known = set.intersection(*(set(reader.ids) for reader in readers.values()))
    if not allow_missing:
        labels.check_against(known)
    ids = [clip_id for clip_id in labels.ids if clip_id in known]
    if not ids:
        raise TrainError(
            f"{labels.origin}: none of the labelled clips is in the store; its paths must start where VIDEOS started"
        )
    seen: set[str] = set()
    rows = []
    for reader in readers.values():
        for place in reader.index_of(ids):
            status = reader.status[place]
            if status is not Status.OK:
                rows.append((reader.ids[place], reader.key.source, status.value, reader.reasons[place]))
            if reader.lengths[place]:
                seen.add(reader.ids[place])
    usable = labels.select([clip_id for clip_id in ids if clip_id in seen])
    return usable, pd.DataFrame(rows, columns=["clip_id", "source", "status", "reason"])


def sighted_heads(
    heads: Sequence[NamedHead],
    readers: Mapping[str, FeatureReader],
    labels: LabelTable,
    folds: Folds,
    note: Callable[[str], None],
) -> list[NamedHead]:
    """The heads that have clips to learn from whatever folds are held out; `note` is told what the others cannot see,
    or why their sources cannot be joined.

    Raises:
        TrainError: there is none.
    """
    kept = []
    for head in heads:
        try:
            reader = head.reader(readers)
        except JoinError as error:
            note(f"head {head.name} is left out: {error}")
            continue
        seen = ids_with_frames(reader, labels.ids)
        sources = ", ".join(key.source for key in head.keys)
        members = plan_members(head.config, folds.n_folds, 0, judged=head.config.pseudo_epochs > 0)
        if not all(member.learns_from(folds.of(seen)).any() for member in members):
            note(f"head {head.name} is left out: too few folds have clips with anything under {sources}")
            continue
        kept.append(head)
        if len(seen) < len(labels.ids):
            note(
                f"head {head.name}: {len(labels.ids) - len(seen)} of {len(labels.ids)} clips have nothing under "
                f"{sources}; it does not learn from them, and says of them how frequent each class is"
            )
    if not kept:
        raise TrainError(
            "no head has clips of enough folds to learn from, with the same frames under all of its sources; "
            "`store ls` says why clips have no frames"
        )
    return kept
