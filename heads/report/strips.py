"""A strip of frames of a clip: what it looks like where the heads looked, and a time line of why."""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from heads.data.labels import BLANK
from heads.report.figures.timeline import Line, legend, time_line
from heads.report.files import ClipFiles
from heads.report.thumbnails import thumbnails
from heads.run import RunDirectory
from store import FeatureStore

if TYPE_CHECKING:
    from heads.models.explain.scoring import ScoresOverTime

FRAMES = 6
MOST_BYTES = 2_600_000  # of pictures, as the page holds them; the page is to stay below 5 MB
_CLIPS_AT_ONCE = 4
_WHOLE = 0.99  # of the picture: such a box says that nothing in particular moves
_SPECIES = 3
# A head that says less than this of every single frame goes by the clip as a whole, and its line would mislead.
_SAYS_SOMETHING = 0.1
_LOOKED_AT = 0.5  # of the largest weight in the clip

Boxes = tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame of a strip.

    Attributes:
        time_s: when, from the clip's start.
        picture: a data URI.
        looked_at: whether the head's answer came from here.
        boxes: left, top, right, bottom of what moved, in shares of the picture.
    """

    time_s: float
    picture: str
    looked_at: bool
    boxes: Boxes


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Frames of a clip with two time lines under them; `problem` says why there are none, "" if there are.

    Attributes:
        frames: the pictures.
        line: where the head looked, and what moved.
        species: what the head says of single frames: the species that are strongest in any, with their names.
        problem: why there is no picture.
        lost: whether that is because its file, or what the store knew of it, is gone.
    """

    frames: tuple[Frame, ...] = ()
    line: Markup | str = ""
    species: Markup | str = ""
    problem: str = ""
    lost: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class _Course:
    """What is known of a clip over time: when, how much each moment counts, what to draw, what moved where."""

    times_s: NDArray[np.float64]
    weights: NDArray[np.float64]
    lines: tuple[Line, ...]
    species: tuple[Line, ...]
    boxes: Mapping[float, Boxes]


class StripMaker:
    """Makes strips out of a run's heads, a store's features, and the videos.

    Args:
        run: the run.
        store: holds the clips.
        files: where their files are.
        heads: heads that may be asked where they looked, best first; the first whose features the store holds is.
    """

    def __init__(self, run: RunDirectory, store: FeatureStore, files: ClipFiles, heads: Sequence[str]) -> None:
        self._run, self._store, self._files, self._heads = run, store, files, heads
        readers = [store.reader(key) for key in store.keys()]
        self._readers = [(each, {clip_id: row for row, clip_id in enumerate(each.ids)}) for each in readers]

    def make(self, clip_ids: Sequence[str]) -> dict[str, Strip]:
        """A strip for each clip, by id; pictures end where the page would grow too large."""
        courses = self._courses(clip_ids)
        strips: dict[str, Strip] = {}
        spent = 0
        for start in range(0, len(clip_ids), _CLIPS_AT_ONCE):
            some = clip_ids[start : start + _CLIPS_AT_ONCE]
            if spent > MOST_BYTES:
                strips |= dict.fromkeys(some, Strip(problem="No pictures: the page would grow too large."))
                continue
            made = self._pictured({clip_id: courses[clip_id] for clip_id in some if clip_id in courses})
            spent += sum(len(frame.picture) for strip in made.values() for frame in strip.frames)
            strips |= {
                clip_id: made.get(clip_id, Strip(problem="The store holds no frames of it.", lost=True))
                for clip_id in some
            }
        return strips

    def _pictured(self, courses: Mapping[str, _Course]) -> dict[str, Strip]:
        places = {clip_id: _moments(course) for clip_id, course in courses.items()}
        wanted = [(clip_id, place) for clip_id in courses for place in places[clip_id]]
        files = {clip_id: self._files.path(clip_id) for clip_id in courses}
        pictures = thumbnails([(files[clip_id], float(courses[clip_id].times_s[place])) for clip_id, place in wanted])
        found = dict(zip(wanted, pictures, strict=True))
        return {
            clip_id: self._strip(clip_id, course, {place: found[clip_id, place] for place in places[clip_id]})
            for clip_id, course in courses.items()
        }

    def _strip(self, clip_id: str, course: _Course, pictures: Mapping[int, bytes | None]) -> Strip:
        highest = course.weights.max()
        frames = tuple(
            Frame(
                time_s=float(course.times_s[place]),
                picture="data:image/jpeg;base64," + b64encode(jpeg).decode(),
                looked_at=bool(course.lines and course.weights[place] >= _LOOKED_AT * highest),
                boxes=course.boxes.get(round(float(course.times_s[place]), 3), ()),
            )
            for place, jpeg in pictures.items()
            if jpeg is not None
        )
        moments = [frame.time_s for frame in frames]
        species = course.species if any(line.values.max() >= _SAYS_SOMETHING for line in course.species) else ()
        return Strip(
            frames=frames,
            line=time_line("What counted over time", course.lines, moments),
            species=time_line("Species over time", species, moments, 1.0) + legend(species),
            problem="" if frames else f"No picture could be had of {self._files.path(clip_id)}; give --videos DIR.",
            lost=not frames,
        )

    def _courses(self, clip_ids: Sequence[str]) -> dict[str, _Course]:
        looked, species = self._looked(clip_ids), self._species(clip_ids)
        found = {clip_id: self._course(clip_id, looked.get(clip_id), species.get(clip_id, ())) for clip_id in clip_ids}
        return {clip_id: course for clip_id, course in found.items() if course is not None}

    def _course(self, clip_id: str, looked: Line | None, species: tuple[Line, ...]) -> _Course | None:
        """What the store knows of a clip over time; None if it holds no frame of it."""
        times: NDArray[np.float64] | None = None
        energy: Line | None = None
        boxes: dict[float, Boxes] = {}
        for reader, places in self._readers:
            row = places.get(clip_id)
            if row is None or not reader.lengths[row]:
                continue
            times = np.unique(reader.times(row))
            strength, box = reader.per_frame("motion_energy", row), reader.per_frame("box", row)
            if energy is None and strength is not None:
                energy = Line.of_moments("motion", reader.times(row), strength.astype(np.float64))
            if box is not None and not boxes:
                parts = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) < _WHOLE
                for time_s, corners in zip(reader.times(row)[parts].tolist(), box[parts].tolist(), strict=True):
                    boxes[round(time_s, 3)] = (*boxes.get(round(time_s, 3), ()), tuple(corners))
        if times is None:
            return None
        lines = tuple(line for line in (looked, energy) if line is not None)
        return _Course(
            times_s=lines[0].times_s if lines else times,
            weights=lines[0].values if lines else np.ones(len(times)),
            lines=lines,
            species=species,
            boxes=boxes,
        )

    def _looked(self, clip_ids: Sequence[str]) -> dict[str, Line]:
        """Where the best head that can be asked looked, by clip."""
        from heads.errors import AttendError
        from heads.models.explain.attribution import weigh_frames

        for head, seen in self._able(clip_ids):
            try:
                weighed = weigh_frames(self._run, self._store, head, seen)
            except AttendError:
                continue
            return {
                each.clip_id: Line.of_moments(f"{head} ({each.by})", each.times_s, each.weights, np.add)
                for each in weighed
            }
        return {}

    def _species(self, clip_ids: Sequence[str]) -> dict[str, tuple[Line, ...]]:
        """What the best head that can be asked says of single frames: the strongest species, by clip."""
        from heads.models.explain.scoring import scores_over_time

        for head, seen in self._able(clip_ids):
            found = scores_over_time(self._run, self._store, head, seen)
            return {clip_id: _strongest(each) for clip_id, each in found.items()}
        return {}

    def _able(self, clip_ids: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
        """The heads that see frames by themselves and whose features the store holds, best first.

        Each comes with those of some clips that have frames.
        """
        from heads.errors import PredictError
        from heads.models.trained_head import TrainedHead

        for head in self._heads:
            trained = TrainedHead(self._run, self._store, head)
            if not trained.config.traits.scores_frames:
                continue
            try:
                reader = trained.reader
            except PredictError:
                continue
            framed = {clip_id for clip_id, frames in zip(reader.ids, reader.lengths, strict=True) if frames}
            yield head, [each for each in clip_ids if each in framed]


def _strongest(scores: "ScoresOverTime") -> tuple[Line, ...]:
    """Over time, the species that the head is surest of in any frame; `blank` is no species."""
    highest = scores.probabilities.max(axis=0)
    places = [place for place in np.argsort(-highest, kind="stable").tolist() if scores.classes[place] != BLANK]
    return tuple(
        Line.of_moments(scores.classes[place], scores.times_s, scores.probabilities[:, place])
        for place in places[:_SPECIES]
    )


def _moments(course: _Course) -> list[int]:
    """The places of the frames to show: of each stretch of the clip the frame that counts most."""
    stretches = np.array_split(np.arange(len(course.times_s)), min(FRAMES, len(course.times_s)))
    return [int(stretch[course.weights[stretch].argmax()]) for stretch in stretches]
