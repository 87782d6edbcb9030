"""Answers as MegaDetector's results JSON, version 1.6, with the fields of videos."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from heads.data.labels import BLANK
from heads.workflows.exports.answers import Answers, Moment
from heads.workflows.exports.tables import require_file
from store import Status
from store.files import atomic_path

FORMAT_VERSION = "1.6"
_FLOOR = 0.05  # probabilities below are not written: a file of 100,000 clips and 30 classes would be 300 MB
_KINDS = {"animal": "1", "human": "2", "vehicle": "3"}
_STILLS = (".jpg", ".jpeg", ".png", ".webp", ".gif")
_MILLISECONDS = 1000.0  # where a video's frame rate is not known, its frames are numbered by milliseconds


class MegaDetectorJson:
    """A detection for each class of a clip, with its probability, in the box and the frame where most moved.

    Where the store knows what its own detector found, there is one detection for all animals of a clip, with the
    detector's confidence, and the classes with their probabilities are what it is classified as.

    Blank clips have no detection that is surer than what P(blank) leaves, and failed ones have `failure` and no list of
    detections. `info.trapline` names the clips whose answers are not those of all models for a new clip.
    """

    about = "MegaDetector's results JSON 1.6, as Timelapse reads it"
    needs_store = True

    def require(self, path: Path) -> None:
        """Raise PredictionError unless it can be written at `path`."""
        require_file(path, ".json")

    def write(self, path: Path, answers: Answers) -> list[str]:
        """Write it."""
        head, items = header(answers), _items(answers)
        with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(head, indent=1, ensure_ascii=False, allow_nan=False).removesuffix("\n}"))
            between = ',\n "images": ['
            for item in items:  # one at a time: a season's would take gigabytes
                file.write(f"{between}\n  {json.dumps(item, ensure_ascii=False, allow_nan=False)}")
                between = ","
            file.write("\n ]\n}\n" if between == "," else f"{between}]\n}}\n")
        return [f"{path.name}: lay it into the folder of the clips, which its paths are relative to"]


def results(answers: Answers) -> dict[str, Any]:
    """The content of the file."""
    return {**header(answers), "images": list(_items(answers))}


def header(answers: Answers) -> dict[str, Any]:
    """What stands before the items: who answers, categories, and which answers are not of all models."""
    new, ids = answers.new, _category_ids(answers)
    made = answers.made.strftime("%Y-%m-%d %H:%M:%S")
    origins: dict[str, list[str]] = {}
    for clip_id, origin in zip(new.predictions.ids, new.origin, strict=True):
        origins.setdefault(origin.value, []).append(clip_id)
    return {
        "info": {
            "format_version": FORMAT_VERSION,
            "detector": "boxes of what moves or a detector found, by Trapline, or of results that were given to it",
            "detection_completion_time": made,
            "classifier": answers.by,
            "classification_completion_time": made,
            "detector_metadata": {"typical_detection_threshold": 0.5, "conservative_detection_threshold": 0.2},
            "trapline": {"origin": {name: some for name, some in origins.items() if name != "new"}},
        },
        "detection_categories": {number: {"human": "person"}.get(kind, kind) for kind, number in _KINDS.items()},
        "classification_categories": {number: name for name, number in ids.items()},
        "classification_category_descriptions": {
            number: answers.taxa[name].scientific_name or name for name, number in ids.items()
        },
    }


def _category_ids(answers: Answers) -> dict[str, str]:
    """The id of each class that is a classification category."""
    species = (name for name in answers.new.predictions.classes if name != BLANK)
    return {name: str(number) for number, name in enumerate(species)}


def _items(answers: Answers) -> Iterator[dict[str, Any]]:
    """An item for each clip."""
    ids = _category_ids(answers)
    for clip_id, status, _, probabilities, there in answers.rows():
        said = dict(zip(answers.new.predictions.classes, probabilities, strict=True))
        said = {name: value for name, value in said.items() if name not in answers.coarser or name in there}
        yield _item(answers, clip_id, status, said, ids)


def _item(
    answers: Answers, clip_id: str, status: Status, said: dict[str, float], ids: dict[str, str]
) -> dict[str, Any]:
    still = clip_id.lower().endswith(_STILLS)
    fps = answers.fact(clip_id, "fps")
    known = math.isfinite(fps) and fps > 0
    if status is Status.FAILED:
        video = {} if still else {"frame_rate": fps if known else -1.0, "frames_processed": []}
        reason = answers.reasons.get(clip_id, "") or "could not be decoded"
        return {"file": clip_id, "detections": None, "failure": reason, **video}
    rate = fps if known else _MILLISECONDS
    moment = answers.moments.get(clip_id, Moment(times_s=(0.0,), at_s=0.0))
    frame = {} if still else {"frame_number": round(moment.at_s * rate)}
    video = {} if still else {"frame_rate": rate, "frames_processed": [round(each * rate) for each in moment.times_s]}
    likely = [(name, round(float(value), 5)) for name, value in sorted(said.items(), key=lambda each: -each[1])]
    likely = [(name, value) for name, value in likely if name != BLANK and said[name] >= _FLOOR]
    kinds = [answers.taxa[name].kind for name, _ in likely]
    if moment.confidence is None:
        groups = [(kind, value, [(name, value)]) for kind, (name, value) in zip(kinds, likely, strict=True)]
    else:
        sure = round(moment.confidence, 5)
        groups = [
            (kind, sure, [each for each, other in zip(likely, kinds, strict=True) if other == kind])
            for kind in dict.fromkeys(kinds)
        ]
    detections = [
        {
            "category": _KINDS[kind],
            "conf": confidence,
            "bbox": list(moment.box),
            "classifications": [[ids[name], value] for name, value in named],
            **frame,
        }
        for kind, confidence, named in groups
    ]
    return {"file": clip_id, "detections": detections, **video}
