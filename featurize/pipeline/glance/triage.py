"""Blank or not, before any label exists: the evidence of views, kept in a store, as a table.

The features of a rule that costs next to nothing are made under the views whose evidence is wanted, so that a triage is
resumed, and done in shares, like any other run of featurize.
"""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurize.backbones.detectors import find_detector
from featurize.backbones.registry import find_backbone
from featurize.backbones.weights import locate_weights, weights_available
from featurize.background.settings import background_settings
from featurize.errors import SourceError
from featurize.pipeline.discover import Clip, survey
from featurize.pipeline.glance.blankness import Evidence, animal_score, because, verdict
from featurize.pipeline.request import Request
from featurize.pipeline.source import make_source
from featurize.remote.root import Remote
from featurize.views.registry import find_view
from featurize.views.sampling import Sampling
from store import FeatureReader, FeatureStore, Status
from store.files import write_text
from store.key import FeatureKey

COLUMNS = ("clip_id", "path", "status", "animal_score", "verdict", "because", "at_s", "reason")
CANNOT_SAY = "cannot say"
_BACKBONE = "statistics"
_COMPARING, _MOVING, _DETECTING = "animal", "motion", "detector"
# What the weights of evidence were fitted for: other rates see the same clip differently.
_SAMPLING = Sampling(fps=1.0)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What is said of a clip.

    Attributes:
        clip: the clip.
        status: how decoding went.
        reason: why not everything could be decoded, "" if it could.
        evidence: what is known of it; None if nothing is.
    """

    clip: Clip
    status: Status
    reason: str
    evidence: Evidence | None

    @property
    def verdict(self) -> str:
        """`blank`, `animal` or `cannot say`; of a clip that failed nothing can be said."""
        return CANNOT_SAY if self.evidence is None else verdict(self.evidence)


def triage_views() -> tuple[str, ...]:
    """The views whose evidence is asked for: the detector's only where its weights are on this machine."""
    views = (_COMPARING, _MOVING)
    asked = find_view(_DETECTING).needs_detector
    return (*views, _DETECTING) if weights_available(find_detector(asked)) else views


def triage_request(
    videos: Sequence[Path | Remote],
    views: Sequence[str],
    *,
    limit: int | None,
    workers: int | None,
    retry_failed: bool,
    sites: Path | None = None,
) -> Request:
    """What featurize has to do for it."""
    return Request(
        videos=videos,
        backbones=[_BACKBONE],
        sampling=_SAMPLING,
        views=views,
        sites=sites,
        offline=True,
        limit=limit,
        workers=workers,
        retry_failed=retry_failed,
        relink=False,
    )


def judge(videos: Sequence[Path | Remote], store: FeatureStore, views: Sequence[str]) -> list[Judged]:
    """What is said of each clip below `videos`, in order of their ids, by what the store holds.

    Clips that are not in it, beyond a limit or in another share, are left out.
    """
    clips = survey(videos, lambda: store.clips().index).clips
    by_view = {str(key.view["name"]): store.reader(key) for key in _keys(views)}
    main = by_view[_COMPARING]
    rows = {clip_id: row for row, clip_id in enumerate(main.ids)}
    seen = {name for name, row in store.backgrounds(background_settings()).items() if row.others}
    return [_judged(clip, rows[clip.clip_id], by_view, seen) for clip in clips if clip.clip_id in rows]


def write_verdicts(path: Path, judged: Sequence[Judged]) -> None:
    """Write the table to `path`, as CSV.

    Raises:
        SourceError: it cannot be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for each in judged:
        table.writerow(_row(each))
    try:
        write_text(path, text.getvalue())
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be written ({error.strerror or error}); name another file by --out"
        ) from error


def verdict_counts(judged: Sequence[Judged]) -> dict[str, int]:
    """How many clips there are per verdict; those that failed stand apart."""
    found = Counter("failed" if each.status is Status.FAILED else each.verdict for each in judged)
    return {name: found[name] for name in ("blank", "animal", CANNOT_SAY, "failed")}


def _keys(views: Sequence[str]) -> list[FeatureKey]:
    backbone = find_backbone(_BACKBONE)
    return [make_source(backbone, locate_weights(backbone), view).key(_SAMPLING) for view in views]


def _judged(clip: Clip, row: int, by_view: dict[str, FeatureReader], seen: set[str]) -> Judged:
    main = by_view[_COMPARING]
    status, reason = main.status[row], main.reasons[row]
    if status is Status.FAILED or not main.lengths[row]:
        return Judged(clip=clip, status=status, reason=reason, evidence=None)
    return Judged(clip=clip, status=status, reason=reason, evidence=_evidence(clip.clip_id, row, by_view, seen))


def _evidence(clip_id: str, row: int, by_view: dict[str, FeatureReader], seen: set[str]) -> Evidence:
    main = by_view[_COMPARING]
    times_s, energy = _strongest(main, row, "motion_energy")
    moving = dict(zip(*_of_clip(by_view[_MOVING], clip_id, "motion_energy"), strict=True))
    at, detector = int(energy.argmax()), None
    at_s = float(times_s[at])
    moves = moving.get(at_s, 0.0) > 0
    if _DETECTING in by_view:
        looked_s, sure = _of_clip(by_view[_DETECTING], clip_id, "detector_confidence")
        detector = float(sure.max(initial=0))
        if detector and not energy[at]:
            at_s = float(looked_s[int(sure.argmax())])
    return Evidence(
        energy=float(energy.mean()),
        compared=main.fingerprints[row] in seen,
        detector=detector,
        at_s=at_s,
        frames=len(times_s),
        whole=main.status[row] is not Status.PARTIAL,
        moves=moves,
    )


def _of_clip(reader: FeatureReader, clip_id: str, name: str) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    return _strongest(reader, int(reader.index_of([clip_id])[0]), name)


def _strongest(reader: FeatureReader, row: int, name: str) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """The moments of a clip, and the largest of the numbers `name` in each: a frame may have several boxes."""
    values, times_s = reader.per_frame(name, row), reader.times(row)
    moments, place = np.unique(times_s, return_inverse=True)
    largest = np.zeros(len(moments), np.float32)
    if values is not None:
        np.maximum.at(largest, place, values)
    return moments, largest


def _row(each: Judged) -> list[str]:
    known = each.evidence
    score, at_s = ("", "") if known is None else (f"{animal_score(known):.4f}", f"{known.at_s:.2f}")
    return [
        each.clip.clip_id,
        each.clip.place,
        each.status.value,
        score,
        each.verdict,
        "" if known is None else because(known),
        at_s,
        each.reason,
    ]
