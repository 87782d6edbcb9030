"""What is told of a decoded clip beside its features: facts for the store, and what counts in the summary."""

from dataclasses import dataclass, fields
from typing import Any

from featurize.decoding.ffmpeg import Probe
from featurize.motion.image_facts import ImageFacts
from featurize.pipeline.clips.prefetch import DecodedTask
from featurize.pipeline.discover import Clip
from store import ClipFacts, Status

_CLIP_FACTS = frozenset(field.name for field in fields(ClipFacts))


@dataclass(frozen=True, kw_only=True)
class Account:
    """What is told of a decoded clip.

    Attributes:
        facts: its row in the clip table.
        unreached: whether it could not be read although the store knows it, so that nothing is to be kept.
        status: how decoding went under this sampling.
        reason: why it was not OK; "" if it was.
        frames: frames decoded.
        seen_whole: the views that may show less and saw nothing but whole frames.
        uncompared: whether a view asked for what it is seen against, and there was nothing.
        unheard: whether sound was asked for, and could not be had although the picture could.
        many_tracks: whether it holds several video tracks.
    """

    facts: ClipFacts
    unreached: bool
    status: Status
    reason: str
    frames: int
    seen_whole: frozenset[str]
    uncompared: bool
    unheard: bool
    many_tracks: bool

    @property
    def clip_id(self) -> str:
        """The clip."""
        return self.facts.clip_id


def account_of(decoded: DecodedTask) -> Account:
    """What is told of a clip that was decoded."""
    clip = decoded.clip
    return Account(
        facts=_facts_row(decoded),
        unreached=decoded.task.known and not decoded.fingerprint,
        status=clip.status,
        reason=clip.reason,
        frames=len(clip.times_s),
        seen_whole=frozenset(spec.view for spec, crops in clip.crops.items() if crops.found_no_crop),
        uncompared=decoded.uncompared,
        unheard=(decoded.sound is not None and not len(decoded.sound.frames))
        or (decoded.waveform is not None and not len(decoded.waveform.pieces)),
        many_tracks=clip.container.video_tracks > 1,
    )


def _facts_row(decoded: DecodedTask) -> ClipFacts:
    """The clip's row in the clip table; a clip that merely is short for this sampling is a sound clip."""
    clip, found = decoded.task.clip, decoded.clip
    sound = found.status is Status.SHORT
    return ClipFacts(
        clip_id=clip.clip_id,
        path=clip.place,
        size_bytes=clip.size_bytes,
        mtime_ns=clip.mtime_ns,
        fingerprint=decoded.fingerprint,
        status=Status.OK if sound else found.status,
        reason="" if sound else found.reason,
        bit_rate=_bit_rate(clip, found.container.duration_s),
        **_facts_among(found.container),
        **_facts_among(found.image_facts),
    )


def _facts_among(found: Probe | ImageFacts) -> dict[str, Any]:
    """The fields of `found` that are facts about a clip, by the names that they have in both."""
    return {field.name: getattr(found, field.name) for field in fields(found) if field.name in _CLIP_FACTS}


def _bit_rate(clip: Clip, duration_s: float) -> float:
    """Bits per second of the whole file; NaN where the duration is unknown."""
    return clip.size_bytes * 8 / duration_s if duration_s > 0 else float("nan")
