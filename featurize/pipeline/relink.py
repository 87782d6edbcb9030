"""Recognises clips that only moved, were renamed or touched, by their content, so that they are not computed again, and
other clips under names that the store knows, so that these do not take their place unseen.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from featurize.errors import SourceError
from featurize.pipeline.discover import Clip
from featurize.pipeline.estimate import spread
from featurize.pipeline.plan import Plan, fingerprint_or_blank
from store import ClipFacts, FeatureStore, Status
from store.errors import StoreNotFoundError
from store.key import FeatureKey
from store.maintenance.relink import moved_clips, relink_features

_COMPARED = 64
_MOVED_SHARE = 0.1


def require_unmoved(clips: Sequence[Clip], store: FeatureStore) -> None:
    """Stop before clips that moved or were renamed are computed again, and stand in the store twice.

    A few of the clips whose ids the store does not know are compared, by size and then by content, with the stored ones
    that are not among `clips`: two of them at once may well be copies.

    Raises:
        SourceError: a tenth of the unknown clips, or more, are stored ones under other names.
    """
    table = store.clips()
    named = {clip.clip_id for clip in clips}
    gone = table[~table.index.isin(named) & (table["fingerprint"] != "") & (table["status"] != Status.FAILED)]
    unseen = [clip for clip in clips if clip.clip_id not in table.index]
    sizes = set(gone["size_bytes"])
    like = [clip for clip in unseen if clip.size_bytes in sizes]
    sample = list(spread(like, _COMPARED))
    old_id = dict(zip(gone["fingerprint"], gone.index, strict=True))
    with ThreadPoolExecutor() as pool:
        compared = zip(sample, pool.map(fingerprint_or_blank, sample), strict=True)
        moved = [(old_id[found], clip.clip_id) for clip, found in compared if found in old_id]
    if not moved or len(moved) / len(sample) * len(like) < _MOVED_SHARE * len(unseen):
        return
    about = f"{len(moved)}" if len(sample) == len(like) else f"about {round(len(moved) / len(sample) * len(like))}"
    raise SourceError(
        f"{store.root}: {about} of the {len(unseen)} clips that are new to the store are stored ones under another "
        f"name ('{moved[0][0]}' is '{moved[0][1]}' now): name the folder that was named then, or add --relink, which "
        "gives what is stored the new names, or --no-relink, which computes all of them again"
    )


def require_same_clips(plan: Plan, store: FeatureStore) -> None:
    """Stop before clips of another folder, or of another memory card, take the place of those that the store knows by
    the same names. A few clips that were changed where they are do.

    Raises:
        SourceError: a clip is at another place than the stored one of its name, and has other contents; or more than
            half of the clips that the store knows have, and more than one.
    """
    if not plan.replaced:
        return
    table = store.clips()
    known = table.index.isin([clip.clip_id for clip in plan.named]) & (table["status"] != Status.FAILED)
    places = table.loc[known, "path"]
    others = [clip for clip in plan.replaced if clip.clip_id in places.index]
    elsewhere = [clip for clip in others if places[clip.clip_id] != clip.place]
    stopped = elsewhere or (others if len(others) > max(1, len(places) / 2) else [])
    if not stopped:
        return
    first, count = stopped[0], len(stopped)
    are = "clip has the name of another one" if count == 1 else "clips have the names of other ones"
    raise SourceError(
        f"{store.root}: {count} {are} that the store knows, and other contents ('{first.clip_id}' at "
        f"{first.place} is not what was at {places[first.clip_id]}): put each memory card into a folder of its own "
        "and name the folder above them, or use another store; or add --replace, by which they take the place of the "
        "stored ones"
    )


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
    place = {"path": clip.place, "size_bytes": clip.size_bytes, "mtime_ns": clip.mtime_ns}
    return ClipFacts(clip_id=clip.clip_id, **{**row, **place, "status": Status(row["status"])})
