"""Recognises clips that only moved, were renamed or touched, by their content, so that they are not computed again."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from featurize.pipeline.discover import Clip
from featurize.pipeline.plan import fingerprint_or_blank
from store import ClipFacts, FeatureStore, Status
from store.errors import StoreNotFoundError
from store.ids import writable
from store.key import FeatureKey
from store.maintenance.relink import moved_clips, relink_features


def relink(clips: Sequence[Clip], keys: Iterable[FeatureKey], store: FeatureStore) -> int:
    """Give the stored features and facts of moved clips their new ids; the old rows stay.

    Every clip whose id the store does not know is read once, to compare its content.

    Returns:
        How many clips were recognised.
    """
    table = store.clips()
    unseen = [clip for clip in clips if clip.clip_id not in table.index]
    with ThreadPoolExecutor() as pool:
        fingerprints = dict(zip((clip.clip_id for clip in unseen), pool.map(fingerprint_or_blank, unseen), strict=True))
    old_ids: dict[str, str] = {}
    for key in keys:
        try:
            moved = moved_clips(store, key, fingerprints)
        except StoreNotFoundError:
            continue  # nothing was computed under these settings yet
        relink_features(store, key, moved)
        old_ids |= moved
    with store.clip_writer() as writer:
        for clip in unseen:
            if old_ids.get(clip.clip_id) in table.index:
                writer.add(_facts_at(clip, dict(table.loc[old_ids[clip.clip_id]])))
    return len(old_ids)


def renew(touched: Sequence[Clip], store: FeatureStore) -> None:
    """Write the facts of clips that were merely touched again, with their new size and time.

    Otherwise they would be read and compared by content in every run.
    """
    if touched:
        table = store.clips()
        with store.clip_writer() as writer:
            for clip in touched:
                writer.add(_facts_at(clip, dict(table.loc[clip.clip_id])))


def _facts_at(clip: Clip, row: Mapping[Any, Any]) -> ClipFacts:
    """The facts of an old row under the clip's id and place of now."""
    place = {"path": writable(str(clip.path.absolute())), "size_bytes": clip.size_bytes, "mtime_ns": clip.mtime_ns}
    return ClipFacts(clip_id=clip.clip_id, **{**row, **place, "status": Status(row["status"])})
