"""What is reviewed: the clips of a store, their files, and what is known of them before anybody decides anything."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from heads.data.class_names import means_blank
from heads.data.predictions import Predictions
from heads.data.splitting.events import place_of
from heads.errors import ReviewError
from heads.workflows.timing import Timing
from store import FeatureStore

_KEY_CHARS = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Collection:
    """The clips of a store, and what is known of them.

    Attributes:
        store: the store.
        facts: its clip table.
        videos: the folder that clip ids are paths below; None if the files are where they were featurized.
        classes: that clips can show, in the order of their keys; the one for clips that show nothing is left out.
        labels: the classes of each clip that has a label; none for a blank one.
        sites: the site of each clip, as far as known.
        timing: when clips were taken, and the event of each, as far as known.
        predictions: of clips by models that have not learned from them; None before the first run.
    """

    store: FeatureStore
    facts: pd.DataFrame
    videos: Path | None = None
    classes: tuple[str, ...] = ()
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sites: Mapping[str, str] = field(default_factory=dict)
    timing: Timing = field(default_factory=Timing)
    predictions: Predictions | None = None

    def __post_init__(self) -> None:
        clips = {key_of(clip_id): clip_id for clip_id in self.facts.index}
        members: dict[str, list[str]] = {}
        for clip_id, event in self.timing.events.items():
            members.setdefault(event, []).append(clip_id)
        rows = {} if self.predictions is None else {clip_id: row for row, clip_id in enumerate(self.predictions.ids)}
        object.__setattr__(self, "_clips", clips)
        object.__setattr__(self, "_members", members)
        object.__setattr__(self, "_rows", rows)

    def clip_of(self, key: str) -> str:
        """The clip that a key means.

        Raises:
            ReviewError: none.
        """
        clips: dict[str, str] = self._clips  # type: ignore[attr-defined]
        if key not in clips:
            raise ReviewError("there is no such clip in the store")
        return clips[key]

    def site_of(self, clip_id: str) -> str:
        """The site of a clip, or its folder where that is not known."""
        return place_of(clip_id, self.sites)

    def event_of(self, clip_id: str) -> list[str]:
        """The clips of the event that a clip belongs to, itself among them; itself alone where times are not known."""
        members: dict[str, list[str]] = self._members  # type: ignore[attr-defined]
        return members.get(self.timing.events.get(clip_id, ""), [clip_id])

    def probabilities(self, clip_id: str) -> dict[str, float]:
        """What the models say of a clip, the most probable class first; nothing where they were not asked."""
        rows: dict[str, int] = self._rows  # type: ignore[attr-defined]
        if self.predictions is None or clip_id not in rows:
            return {}
        said = zip(self.predictions.classes, self.predictions.probabilities[rows[clip_id]].tolist(), strict=True)
        return dict(sorted(said, key=lambda each: -each[1]))

    def file_of(self, clip_id: str) -> Path:
        """The file of a clip.

        Raises:
            ReviewError: it is not there, or a link leads out of the folder of the clips.
        """
        stored = Path(str(self.facts.at[clip_id, "path"]))
        path = stored if self.videos is None else self.videos / clip_id
        folder = self.videos if self.videos is not None else _folder_of(stored, clip_id)
        try:
            real, inside = path.resolve(strict=True), folder.resolve(strict=True)
        except (OSError, RuntimeError, ValueError) as error:
            raise ReviewError(
                f"the file of {clip_id} is not at {path}; name the folder of the clips with --clips"
            ) from error
        if not real.is_relative_to(inside) or not real.is_file():
            raise ReviewError(f"the file of {clip_id} is a link out of {folder}, which is not followed")
        return real


def key_of(clip_id: str) -> str:
    """What a clip is called in addresses, which are never read as paths."""
    return hashlib.sha256(clip_id.encode(errors="surrogateescape")).hexdigest()[:_KEY_CHARS]


def without_blank(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Those classes that say something of a clip beyond that it shows nothing."""
    return tuple(name for name in classes if not means_blank(name))


def _folder_of(path: Path, clip_id: str) -> Path:
    """The folder that a clip's id is a path below; the file's own where the id is spelt otherwise than the path."""
    parts = Path(clip_id).parts
    return path.parents[len(parts) - 1] if path.parts[-len(parts) :] == parts else path.parent
