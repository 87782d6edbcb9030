"""What clips are seen against: found out for all clips of a command before the first of them is decoded.

It is written down in the store, once and for all: a later run, a resumed one, or one in which new clips have come, sees
each clip against what it was seen against before.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from featurize.background.difference import Background, make_background
from featurize.background.key_picture import KeyPicture, key_picture
from featurize.background.neighbours import Neighbour, find_neighbours
from featurize.background.settings import background_settings
from featurize.decoding.key_frames import decode_key_frames
from featurize.errors import FeaturizeError
from featurize.pipeline.clips.faults import unforeseen
from featurize.pipeline.discover import Clip
from featurize.pipeline.places.deployments import NO_DEPLOYMENTS, deployment_of
from featurize.pipeline.plan import fingerprint_or_blank
from featurize.remote.transfer import UnreachableError
from store import FeatureStore, SeenAgainst
from store.format.background_part import background_digest


@dataclass(frozen=True)
class Backgrounds:
    """What clips are seen against.

    Attributes:
        rows: by the fingerprint of a clip's content.
        fingerprints: of the clips that were looked at, by their ids.
    """

    rows: Mapping[str, SeenAgainst]
    fingerprints: Mapping[str, str] = field(default_factory=dict)

    def about(self, clip_id: str) -> "Backgrounds":
        """As much of it as one of the clips needs."""
        row = self.rows.get(self.fingerprints.get(clip_id, ""))
        if row is None:
            return NO_BACKGROUNDS
        return Backgrounds({name: self.rows[name] for name in (row.fingerprint, *row.others) if name in self.rows})

    def of(self, fingerprint: str) -> Background | None:
        """What the clip is compared with; None where too few other clips show its framing, or it is not known."""
        row = self.rows.get(fingerprint)
        if row is None or not row.others or not set(row.others) <= set(self.rows):
            return None
        others = [
            (_picture(self.rows[other]), float(right), float(down))
            for other, (right, down) in zip(row.others, row.shifts, strict=True)
        ]
        return make_background(_picture(row), others)


NO_BACKGROUNDS = Backgrounds({})


def learn_backgrounds(
    clips: Sequence[Clip], store: FeatureStore, *, workers: int, deployments: Mapping[str, str] = NO_DEPLOYMENTS
) -> Backgrounds:
    """What each of `clips` is seen against, as the store has it, or as it is found out now and written down there.

    Clips that are new join those that the store knows, or each other; nothing changes for the others.

    Args:
        clips: that were named.
        store: what is known is there.
        workers: threads.
        deployments: by the ids of clips, also of those that the store knows: a clip is seen against others of its
            deployment only; of one whose deployment nobody said pictures tell.

    Raises:
        StoreWriteError: the disk refused.
    """
    known, new, fingerprints = _find_out(clips, store, workers, deployments)
    if not new:
        return Backgrounds(known, fingerprints)
    settings = background_settings()
    store.add_backgrounds(settings, new)
    return Backgrounds(store.backgrounds(settings), fingerprints)  # of what others wrote meanwhile, the oldest counts


def glimpse_backgrounds(
    clips: Sequence[Clip], store: FeatureStore | None, *, workers: int, deployments: Mapping[str, str] = NO_DEPLOYMENTS
) -> Backgrounds:
    """What `learn_backgrounds` would give, and nothing is written down."""
    known, new, _ = _find_out(clips, store, workers, deployments)
    return Backgrounds(known | {row.fingerprint: row for row in new})


def _find_out(
    clips: Sequence[Clip], store: FeatureStore | None, workers: int, deployments: Mapping[str, str]
) -> tuple[dict[str, SeenAgainst], list[SeenAgainst], dict[str, str]]:
    """What the store says of clips, what those of `clips` are seen against of which it says nothing, and the
    fingerprints of `clips`.
    """
    settings = background_settings()
    known = store.backgrounds(settings) if store else {}
    stored = _stored_fingerprints(store) if store else {}
    with ThreadPoolExecutor(workers, thread_name_prefix="learn") as pool:
        fingerprints = list(pool.map(lambda clip: stored.get(_as_seen(clip)) or fingerprint_or_blank(clip), clips))
        new = {name: clip for name, clip in zip(fingerprints, clips, strict=True) if name and name not in known}
        shown = dict(zip(new, pool.map(_look_at, new.values()), strict=True))
    pictures = {name: picture for name, picture in shown.items() if picture is not None}
    said = {name: deployment_of(row, deployments) for name, row in known.items()}
    named = zip(fingerprints, clips, strict=True)
    said |= {name: deployments[clip.clip_id] for name, clip in named if clip.clip_id in deployments}
    rows = _rows(pictures, new, known, settings, said) if pictures else []
    return known, rows, {clip.clip_id: name for clip, name in zip(clips, fingerprints, strict=True)}


def _as_seen(clip: Clip) -> tuple[str, int, int]:
    return clip.clip_id, clip.size_bytes, clip.mtime_ns


def _stored_fingerprints(store: FeatureStore) -> dict[tuple[str, int, int], str]:
    """The fingerprint of each clip that the store knows, by its id, size and time."""
    table = store.clips()
    seen = zip(table.index, table["size_bytes"].tolist(), table["mtime_ns"].tolist(), strict=True)
    return dict(zip(seen, table["fingerprint"], strict=True))


def _look_at(clip: Clip) -> KeyPicture | None:
    """The key picture of a clip; None where it cannot be decoded, of which decoding it will tell the reason.

    Raises:
        FeaturizeError: the machine is at fault, not the clip.
    """
    try:
        with clip.on_disk() as path:
            return key_picture(decode_key_frames(path))
    except FeaturizeError:
        raise
    except UnreachableError:
        return None
    except Exception as error:  # noqa: BLE001  the clip is decoded later, and its reason recorded then
        unforeseen(error, clip.clip_id)
        return None


def _rows(
    new: Mapping[str, KeyPicture],
    clips: Mapping[str, Clip],
    known: Mapping[str, SeenAgainst],
    settings: Mapping[str, Any],
    said: Mapping[str, str],
) -> list[SeenAgainst]:
    """What each of the `new` pictures is seen against: those that are known and each other, of a deployment that is
    `said` or of any.
    """
    pictures = {name: _picture(row) for name, row in known.items()} | dict(new)
    names = sorted(pictures)
    wanted = [place for place, name in enumerate(names) if name in new]
    found = find_neighbours([pictures[name] for name in names], wanted, [said.get(name, "") for name in names])
    return [
        replace(
            _row(clips[name].clip_id, name, [(names[each.index], each) for each in near], pictures, settings),
            deployment=said.get(name, ""),
        )
        for name, near in zip((names[place] for place in wanted), found, strict=True)
    ]


def _row(
    clip_id: str,
    name: str,
    near: Sequence[tuple[str, Neighbour]],
    pictures: Mapping[str, KeyPicture],
    settings: Mapping[str, Any],
) -> SeenAgainst:
    own = pictures[name]
    shifts = np.array([(each.right, each.down) for _, each in near], np.float32).reshape(-1, 2)
    return SeenAgainst(
        clip_id=clip_id,
        fingerprint=name,
        infrared=own.infrared,
        picture=own.grey,
        others=tuple(other for other, _ in near),
        shifts=shifts,
        digest=background_digest(settings, own.grey, [pictures[other].grey for other, _ in near], shifts),
    )


def _picture(row: SeenAgainst) -> KeyPicture:
    return KeyPicture(grey=row.picture, infrared=row.infrared)
