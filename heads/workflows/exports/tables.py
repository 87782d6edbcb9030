"""Answers as text tables: a row a clip and class, and a row a clip and species as Timelapse imports them."""

from pathlib import Path

import numpy as np
import pandas as pd

from heads.data.labels import BLANK
from heads.errors import PredictionError
from heads.workflows.exports.answers import Answers
from store import Status
from store.files import atomic_path
from store.ids import counted


class LongCsv:
    """A row for each clip and class: status, origin, the probability, and whether the clip is said to show it.

    A clip that could not be decoded has no probabilities and is said to show nothing.
    """

    about = "CSV, a row for each clip and class"
    needs_store = False

    def require(self, path: Path) -> None:
        """Raise PredictionError unless it can be written at `path`."""
        require_csv(path)

    def write(self, path: Path, answers: Answers) -> list[str]:
        """Write it."""
        new = answers.new
        count = len(new.predictions.classes)
        known = np.repeat([status is not Status.FAILED for status in new.status], count)
        table = pd.DataFrame(
            {
                "clip_id": [clip_id for clip_id in new.predictions.ids for _ in range(count)],
                "status": [status.value for status in new.status for _ in range(count)],
                "origin": [origin.value for origin in new.origin for _ in range(count)],
                "class": list(new.predictions.classes) * len(new.status),
                "probability": new.predictions.probabilities.ravel(),
                "said": [int(name in there) for there in answers.said for name in new.predictions.classes],
            }
        )
        if new.event:
            table.insert(3, "event", [event for event in new.event for _ in range(count)])
        table["scientificName"] = [answers.taxa[name].scientific_name for name in table["class"]]
        table["taxonID"] = [answers.taxa[name].taxon_id for name in table["class"]]
        table["probability"] = table["probability"].where(known)
        with atomic_path(path) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")
        return []


class TimelapseReady:
    """A row for each clip and species that is said to be there, under the names that Timelapse matches files by.

    A clip of which nothing can be said is `Unknown`, one that could not be decoded has no species.
    """

    about = "CSV that Timelapse imports, a row for each clip and species said to be there"
    needs_store = False

    def require(self, path: Path) -> None:
        """Raise PredictionError unless it can be written at `path`."""
        require_csv(path)

    def write(self, path: Path, answers: Answers) -> list[str]:
        """Write it."""
        rows = []
        place = {name: column for column, name in enumerate(answers.new.predictions.classes)}
        events = answers.new.event or [""] * len(answers.said)
        for (clip_id, status, origin, row, there), event in zip(answers.rows(), events, strict=True):
            folder, _, name = clip_id.rpartition("/")
            for species in there or ("",):
                shown = species or ("" if status is Status.FAILED else "Unknown")
                probability = f"{row[place[species]]:.4f}" if species else ""
                rows.append(
                    (name, folder.replace("/", "\\"), shown, probability, status.value, origin.value, event, answers.by)
                )
        columns = ["File", "RelativePath", "Species", "Probability", "Status", "Origin", "Event", "ClassifiedBy"]
        table = pd.DataFrame(rows, columns=columns)
        if not answers.new.event:
            table = table.drop(columns="Event")
            columns.remove("Event")
        with atomic_path(path) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")
        blanks = sum(BLANK in there for there in answers.said)
        return [
            f"{path.name}: import it into Timelapse with a template that has the columns {', '.join(columns[2:])}; "
            f"{counted(blanks, 'clip', 'are')} '{BLANK}'"
        ]


def require_csv(path: Path) -> None:
    """Raise PredictionError unless `path` is a CSV's, in a folder that is there."""
    require_file(path, ".csv")


def require_file(path: Path, ending: str) -> None:
    """Raise PredictionError unless a file of that ending can be written at `path`."""
    if path.is_dir() or path.suffix.lower() != ending:
        raise PredictionError(f"{path}: this format is one file; name it so that it ends in {ending}")
    if not path.parent.is_dir():
        raise PredictionError(f"{path}: there is no folder {path.parent}; make it, or name a file in another folder")
