"""Which clips heads can see: a clip may have frames under one source of features and none under another."""

from collections.abc import Mapping, Sequence

import pandas as pd

from heads.data.features.readers import Reader, ids_with_frames
from heads.data.labels import LabelTable
from heads.data.splitting.folds import Folds
from heads.errors import JoinError, TrainError
from heads.trainers.members import plan_members
from heads.workflows.resolve import HeadSpec
from store import FeatureReader, Status
from store.ids import name_a_few


def labels_with_frames(
    labels: LabelTable, readers: Mapping[str, FeatureReader], *, allow_missing: bool
) -> tuple[LabelTable, pd.DataFrame]:
    """The labelled clips that have frames under any key, and a table of those that are not OK somewhere."""
    known = set.intersection(*(set(reader.ids) for reader in readers.values()))
    if not allow_missing:
        labels.check_against(known)
    ids = [clip_id for clip_id in labels.ids if clip_id in known]
    if not ids:
        raise TrainError(
            f"{labels.origin}: none of the labelled clips is in the store under all of the recipe's sources; featurize "
            "them, or name the store that holds them"
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


def trainable_heads(
    heads: Sequence[HeadSpec],
    readers: Mapping[str, FeatureReader],
    labels: LabelTable,
    folds: Folds,
) -> tuple[list[HeadSpec], list[str]]:
    """The heads that have clips to learn from whatever folds are held out, and a sentence on each of which that is not
    so, whose sources cannot be joined, or that does not see all clips.

    Raises:
        TrainError: there is none.
    """
    kept: list[HeadSpec] = []
    notes: list[str] = []
    for head in heads:
        try:
            reader = head.reader(readers)
        except JoinError as error:
            notes.append(f"head {head.name} is left out: {error}")
            continue
        seen = ids_with_frames(reader, labels.ids)
        sources = ", ".join(key.source for key in head.keys)
        members = plan_members(head.config, folds.n_folds, 0, judged=head.config.pseudo_epochs > 0)
        if not all(member.learns_from(folds.of(seen)).any() for member in members):
            notes.append(f"head {head.name} is left out: too few folds have clips with anything under {sources}")
            continue
        kept.append(head)
        if len(seen) < len(labels.ids):
            notes.append(
                f"head {head.name}: {len(labels.ids) - len(seen)} of {len(labels.ids)} clips have nothing under "
                f"{sources}; it does not learn from them, and says of them how frequent each class is"
            )
    if not kept:
        raise TrainError(
            "no head has clips of enough folds to learn from, with the same frames under all of its sources; "
            "`store ls` says why clips have no frames"
        )
    return kept, notes


def find_unlabelled(
    labels: LabelTable, readers: Mapping[str, Reader], sites: Mapping[str, str]
) -> tuple[tuple[str, ...], list[str]]:
    """The clips that have frames under every key and no row among the labels, sorted; and what is left out, in words.

    Where the labelled clips have sites, a clip whose site is not known is left out, since it may be of any fold's.

    Args:
        labels: the labelled clips.
        readers: of the keys.
        sites: the site of each clip, as far as it is known.
    """
    framed = (set(ids_with_frames(reader, reader.ids)) for reader in readers.values())
    found = sorted(set.intersection(*framed) - set(labels.ids))
    if labels.sites is None:
        return tuple(found), []
    lost = [clip_id for clip_id in found if clip_id not in sites]
    notes = []
    if lost:
        notes.append(
            f"{len(lost)} of {len(found)} clips without labels are of no known site, such as {name_a_few(lost)}, and "
            "are not learned from; name their sites with --sites or --site-pattern"
        )
    return tuple(clip_id for clip_id in found if clip_id in sites), notes
