"""Relinking: rows of clips that only moved are written again under their new ids, without computing anything."""

from collections.abc import Mapping

from store.featurestore import FeatureStore
from store.key import FeatureKey


def moved_clips(store: FeatureStore, key: FeatureKey, clips: Mapping[str, str]) -> dict[str, str]:
    """For those of `clips` (fingerprint by id) that `key` lacks: the stored clip of the same content, by new id.

    Clips whose content is nowhere in the store, or whose stored row failed, are left out. Where several stored clips
    have the same content, the first in id order stands for it: their features are the same.
    """
    reader = store.reader(key)
    known: dict[str, str] = {}
    for clip_id, fingerprint, length in zip(reader.ids, reader.fingerprints, reader.lengths.tolist(), strict=True):
        if fingerprint and length:
            known.setdefault(fingerprint, clip_id)
    return {clip_id: known[clips[clip_id]] for clip_id in store.missing(key, clips) if clips[clip_id] in known}


def relink_features(store: FeatureStore, key: FeatureKey, old_id_by_new: Mapping[str, str]) -> int:
    """Write the rows of old ids again under new ids: how many were written. The old rows stay.

    Raises:
        UnknownClipError: an old id is not there.
        StoreWriteError: the disk refused.
    """
    reader = store.reader(key)
    places = reader.index_of(old_id_by_new.values()).tolist()
    with store.writer(key) as writer:
        for new_id, place in zip(old_id_by_new, places, strict=True):
            writer.add(reader.row(place, clip_id=new_id))
    return len(places)
