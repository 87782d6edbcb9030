"""Results of MegaDetector and SpeciesNet: JSON of what they saw on each file, as predictions of a run's classes."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from heads.data.class_names import means_blank
from heads.data.labels import BLANK
from heads.data.predictions import Predictions
from heads.data.reading.formats.containers import read_json
from heads.data.reading.mapping import UNKNOWN, ClassMapping
from heads.data.tables import bare
from heads.errors import PredictionError
from store.ids import counted, name_a_few, normalise_clip_id

_FRAME = re.compile(
    r"(?P<video>.+\.(?:mp4|avi|mpe?g|mov|mkv|flv|asf|wmv|mts|webm|m4v))/[^/]+\.(?:jpe?g|png)", re.IGNORECASE
)
_PEOPLE = frozenset(map(bare, ("human", "humans", "person", "people", "homo sapiens", "man")))
_SPECIESNET_KINDS = {"1": "animal", "2": "human", "3": "vehicle"}
_SPECIESNET_PARTS = 7
_DIGITS = 6  # of a box, as shares of the frame


@dataclass(kw_only=True)
class _Seen:
    """What was seen on one clip: per name the highest score, and the lowest score of its being blank."""

    scores: dict[str, float] = field(default_factory=dict)
    blank: float = 1.0
    failed: bool = True

    def add(self, scores: Mapping[str, float], blank: float) -> None:
        """One more frame, or the whole file."""
        self.failed = False
        self.blank = min(self.blank, blank)
        for name, score in scores.items():
            self.scores[name] = max(self.scores.get(name, 0.0), score)


def is_results(path: Path) -> bool:
    """Whether `path` is a JSON of MegaDetector's or SpeciesNet's."""
    found = read_json(path)
    return isinstance(found, dict) and (
        isinstance(found.get("predictions"), list)
        or (isinstance(found.get("images"), list) and isinstance(found.get("detection_categories"), dict))
    )


def read_results(
    path: Path,
    classes: Sequence[str],
    *,
    mapping: ClassMapping | None = None,
    columns: Sequence[str] | None = None,
) -> tuple[Predictions, tuple[str, ...]]:
    """Read results as a model's predictions of some classes, and sentences on how.

    A species has the highest score of any detection or frame, times the detection's own where the classifier was asked
    about a detection. BLANK is what the surest detection leaves, or the classifier's own score of it. A file that
    failed has the mean of the others, since nothing is known of it: it is not blank.

    Args:
        path: the JSON.
        classes: that the run knows.
        mapping: the class of each name in the file; None to look for the classes' own names, scientific or common.
        columns: the classes to tell, in order, with 0 for what the file never names; None for those that it names.

    Raises:
        PredictionError: it is malformed, or names none of the classes.
    """
    content = read_json(path)
    if not is_results(path):
        raise PredictionError(f"{path.name}: neither results of MegaDetector nor of SpeciesNet; name their .json")
    spelling = _Spelling(classes, mapping)
    if isinstance(content.get("predictions"), list):
        seen, about = _speciesnet(path, content["predictions"], spelling), "SpeciesNet"
    else:
        seen, about = _megadetector(path, content, spelling), "MegaDetector"
    if not seen:
        raise PredictionError(f"{path.name}: it has results of no file; run {about} on the clips")
    found = [name for name in classes if name == BLANK or name in spelling.known]
    told = list(columns) if columns is not None else found
    if not set(found) - {BLANK} and BLANK not in told:
        raise PredictionError(
            f"{path.name}: it names {name_a_few(sorted(spelling.asked))}, none of which is a class of the run "
            f"({name_a_few(classes)}); say what they mean with --mapping"
        )
    values = np.array(
        [[each.blank if name == BLANK else each.scores.get(name, 0.0) for name in told] for each in seen.values()]
    ).reshape(len(seen), len(told))
    failed = np.array([each.failed for each in seen.values()])
    notes = [f"{path.name}: read as results of {about}, which tell {name_a_few(told)}"]
    if failed.all():
        raise PredictionError(f"{path.name}: all of its {len(seen)} files failed; run {about} again")
    if failed.any():
        values[failed] = values[~failed].mean(axis=0)
        notes.append(
            f"{path.name}: {counted(int(failed.sum()), 'file')} failed, given the mean of the others, not blank"
        )
    strangers = sorted(spelling.asked - spelling.used)
    if strangers:
        notes.append(f"{path.name}: {name_a_few(strangers)} are no classes of the run and do not count")
    predictions = Predictions(
        ids=tuple(seen),
        classes=tuple(told),
        probabilities=np.clip(values, 0.0, 1.0),
        provenance={"model": path.stem, "file": path.name},
    )
    return predictions, tuple(notes)


@dataclass(frozen=True, kw_only=True)
class SurestBox:
    """Where a detector was surest that something is on a clip.

    Attributes:
        box: left, top, width and height, shares of the frame.
        confidence: of the detector, 0 to 1.
        time_s: of the frame; None where that is not told.
    """

    box: tuple[float, float, float, float]
    confidence: float
    time_s: float | None = None


def read_boxes(path: Path) -> dict[str, SurestBox]:
    """The surest box of each file in results that `read_results` takes; those on which nothing was seen have none.

    What is no box is passed over, since no answer depends on it.
    """
    content = read_json(path)
    names = _categories(content.get("detection_categories"))
    found: dict[str, SurestBox] = {}
    listed = content["predictions"] if isinstance(content.get("predictions"), list) else content["images"]
    for row, item in enumerate(listed):
        clip = _clip(item.get("file", item.get("filepath")), path, f"item {row}: the file")
        for detection in item.get("detections") or ():
            confidence, box = float(detection["conf"]), _box(detection.get("bbox"))
            if box is None or means_blank(names.get(str(detection.get("category")), "")):
                continue
            if clip not in found or confidence > found[clip].confidence:
                time_s = _time_s(detection.get("frame_number"), item.get("frame_rate"))
                found[clip] = SurestBox(box=box, confidence=confidence, time_s=time_s)
    return found


def _box(corners: Any) -> tuple[float, float, float, float] | None:
    """Left, top, width and height inside the frame; None if that is no box."""
    try:
        left, top, width, height = map(float, corners)
    except (TypeError, ValueError):
        return None
    left, right = (min(max(each, 0.0), 1.0) for each in (left, left + width))
    top, bottom = (min(max(each, 0.0), 1.0) for each in (top, top + height))
    if right <= left or bottom <= top:
        return None
    return left, top, round(right - left, _DIGITS), round(bottom - top, _DIGITS)


def _time_s(frame: Any, rate: Any) -> float | None:
    try:
        found = float(frame) / float(rate)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return found if 0 <= found < math.inf else None


class _Spelling:
    """Which class a name of the results means."""

    def __init__(self, classes: Sequence[str], mapping: ClassMapping | None) -> None:
        self.classes, self.mapping = classes, mapping
        self.by_bare = {bare(name): name for name in reversed(classes)}
        self.people = next((name for name in classes if bare(name) in _PEOPLE), None)
        self.asked: set[str] = set()
        self.used: set[str] = set()
        self.known: set[str] = set()
        self._found: dict[tuple[str, ...], tuple[str, ...]] = {}

    def meant(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The classes that a thing of some names is, the first name that is known counts; () if it is none."""
        if not names:
            return ()
        if names not in self._found:
            shown = names[0]
            self.asked.add(shown)
            meant = next((found for name in names if (found := self._of(name))), ())
            if meant:
                self.used.add(shown)
            self.known.update(meant)
            self._found[names] = meant
        return self._found[names]

    def kind(self, name: str) -> tuple[str, ...]:
        """The classes that a detector's category is; an animal of whatever species is none, unless there is a class."""
        ours = bare(name) in self.by_bare or (self.mapping is not None and name in self.mapping.classes_of)
        return self.meant((name,)) if name and (ours or bare(name) != "animal") else ()

    def _of(self, name: str) -> tuple[str, ...]:
        if self.mapping is not None and name in self.mapping.classes_of:
            return tuple(each for each in self.mapping.classes_of[name] if each != UNKNOWN and each in self.classes)
        if means_blank(name):
            return (BLANK,) if BLANK in self.classes else ()
        if bare(name) in self.by_bare:
            return (self.by_bare[bare(name)],)
        return (self.people,) if self.people is not None and bare(name) in _PEOPLE else ()


def _clip(name: Any, path: Path, where: str) -> str:
    if not isinstance(name, str) or not name.strip():
        raise PredictionError(f"{path.name}, {where} is {name!r}, expected the path of a file")
    spelt = normalise_clip_id(name)
    frame = _FRAME.fullmatch(spelt)
    return frame["video"] if frame else spelt


def _score(value: Any, path: Path, where: str) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = float("nan")
    if isinstance(value, bool) or not 0 <= found <= 1:
        raise PredictionError(f"{path.name}, {where} is {value!r}, expected a number from 0 to 1")
    return found


def _list(value: Any, path: Path, where: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise PredictionError(f"{path.name}, {where} is {type(value).__name__}, expected a list")
    return value


def _megadetector(path: Path, content: Mapping[str, Any], spelling: _Spelling) -> dict[str, _Seen]:
    names = _categories(content.get("detection_categories"))
    species = _categories(content.get("classification_categories"))
    described = _categories(content.get("classification_category_descriptions"))
    for name in names.values():
        spelling.kind(name)
    for key, name in species.items():
        spelling.meant(_taxon_names(name, described.get(key, "")))
    info = content.get("info")
    ours = isinstance(info, dict) and str(info.get("classifier", "")).startswith(
        "Trapline "
    )  # then both are one number
    seen: dict[str, _Seen] = {}
    for row, image in enumerate(content["images"]):
        where = f"images[{row}]"
        if not isinstance(image, dict):
            raise PredictionError(f"{path.name}, {where} is {type(image).__name__}, expected an object")
        each = seen.setdefault(_clip(image.get("file"), path, f"{where}: 'file'"), _Seen())
        if image.get("failure") or image.get("detections") is None:
            continue
        scores: dict[str, float] = {}
        surest = 0.0
        for number, detection in enumerate(_list(image["detections"], path, f"{where}: 'detections'")):
            at = f"{where}.detections[{number}]"
            if not isinstance(detection, dict):
                raise PredictionError(f"{path.name}, {at} is {type(detection).__name__}, expected an object")
            sure = _score(detection.get("conf"), path, f"{at}: 'conf'")
            name = names.get(str(detection.get("category")), "")
            if not means_blank(name):
                surest = max(surest, sure)
            for meant in spelling.kind(name):
                scores[meant] = max(scores.get(meant, 0.0), sure)
            for pair in _list(detection.get("classifications"), path, f"{at}: 'classifications'"):
                if not isinstance(pair, list) or len(pair) != 2:
                    raise PredictionError(
                        f"{path.name}, {at}: a classification is {pair!r}, expected [id, probability]"
                    )
                kind = _score(pair[1], path, f"{at}: a classification's probability")
                key = str(pair[0])
                for meant in spelling.meant(_taxon_names(species.get(key, key), described.get(key, ""))):
                    scores[meant] = max(scores.get(meant, 0.0), kind if ours else sure * kind)
        each.add(scores, 1 - surest)
    return seen


def _categories(found: Any) -> dict[str, str]:
    return {str(key): str(name) for key, name in found.items()} if isinstance(found, dict) else {}


def _taxon_names(name: str, described: str) -> tuple[str, ...]:
    """The names that a category goes by: its own, and out of a taxonomy such as `class;order;family;genus;species`."""
    return tuple(dict.fromkeys(each for each in (name, *_of_taxonomy(described)) if each))


def _of_taxonomy(text: str) -> Iterable[str]:
    parts = [part.strip() for part in text.split(";")]
    if len(parts) == _SPECIESNET_PARTS:
        *_, genus, species, common = parts
        taxa = parts[1:4]
    elif len(parts) > 2:
        *taxa, genus, species = parts
        common = ""
    else:
        return (text,)
    binomial = species if not genus or species.startswith(f"{genus} ") else f"{genus} {species}".strip()
    lowest = binomial or genus or next((each for each in reversed(taxa) if each), "")
    return (common, lowest)


def _speciesnet(path: Path, predictions: Sequence[Any], spelling: _Spelling) -> dict[str, _Seen]:
    seen: dict[str, _Seen] = {}
    for row, each in enumerate(predictions):
        where = f"predictions[{row}]"
        if not isinstance(each, dict):
            raise PredictionError(f"{path.name}, {where} is {type(each).__name__}, expected an object")
        clip = seen.setdefault(_clip(each.get("filepath"), path, f"{where}: 'filepath'"), _Seen())
        said, boxes = each.get("classifications"), each.get("detections")
        if not isinstance(said, dict) and boxes is None:
            continue
        scores: dict[str, float] = {}
        surest = 0.0
        for number, box in enumerate(_list(boxes, path, f"{where}: 'detections'")):
            at = f"{where}.detections[{number}]"
            if not isinstance(box, dict):
                raise PredictionError(f"{path.name}, {at} is {type(box).__name__}, expected an object")
            sure = _score(box.get("conf"), path, f"{at}: 'conf'")
            surest = max(surest, sure)
            kind = _SPECIESNET_KINDS.get(str(box.get("category")), "")
            for meant in spelling.kind(kind):
                scores[meant] = max(scores.get(meant, 0.0), sure)
        blank = 1 - surest
        if isinstance(said, dict):
            names, numbers = (_list(said.get(part), path, f"{where}: '{part}'") for part in ("classes", "scores"))
            if len(names) != len(numbers):
                raise PredictionError(f"{path.name}, {where}: {len(names)} 'classes', but {len(numbers)} 'scores'")
            own: dict[str, float] = {}
            for text, number in zip(names, numbers, strict=True):
                score = _score(number, path, f"{where}: a score")
                for meant in spelling.meant(tuple(name for name in _of_taxonomy(str(text)) if name) or (str(text),)):
                    own[meant] = min(1.0, own.get(meant, 0.0) + score)
            blank = own.pop(BLANK, 0.0) if boxes is None or BLANK in own else blank
            for name, score in own.items():
                scores[name] = max(scores.get(name, 0.0), score)
        clip.add(scores, blank)
    return seen
