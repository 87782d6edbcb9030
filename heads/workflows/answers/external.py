"""Predictions of models that were not trained here, on equal terms with the run's own heads.

A file holds the model's out-of-fold probabilities of the run's clips, and may hold those of new clips beside them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heads.data.labels import LabelTable
from heads.data.matching import IdRule, Matches, match_clips, require_fitting
from heads.data.predictions import Predictions, read_csv
from heads.data.reading.formats.detector_results import SurestBox, is_results, read_boxes, read_results
from heads.data.reading.mapping import ClassMapping
from heads.data.splitting.folds import Folds
from heads.errors import PredictionError
from heads.evaluation.metrics import average_precision, matching_values, mean_log_loss
from heads.run import BLEND, BOX_COLUMNS, RunDirectory
from store.digest import file_sha256
from store.ids import name_a_few

_SHARE_OF_OWN = 1 / 3  # of the best own head's loss in a fold: below it, an added model is too good to pass unseen
_NEAR_PERFECT = 0.99  # mean average precision, where there is no own head to compare with


@dataclass(frozen=True, kw_only=True)
class ImportedPredictions:
    """What was brought in.

    Attributes:
        name: of the model: the file's name without its ending.
        file: the file's name.
        sha256: of its bytes.
        n_clips: the run's clips that it predicts out of fold.
        n_new: other clips that it predicts.
        warnings: what speaks against believing its score, one sentence each.
        notes: what of its clips was taken for what, a sentence.
    """

    name: str
    file: str
    sha256: str
    n_clips: int
    n_new: int
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()


def import_predictions(
    run: RunDirectory, path: Path, rules: Sequence[IdRule] = (), mapping: ClassMapping | None = None
) -> ImportedPredictions:
    """Bring the predictions in `path` into a run, as a model named like the file; what was added under it is replaced.

    Args:
        run: has labels and folds.
        path: a CSV with a column of clips, a column a class (0 to 1), and `fold` if the model was trained in folds; or
            the .json of MegaDetector or SpeciesNet.
        rules: how ids of the file become the run's, where that is not to be found out.
        mapping: the class of each name in a .json; None to look for the classes' own names.

    Raises:
        LabelError: a rule fits no clip of the file.
        PredictionError: the file is no such table, lacks clips of the run, has a column that is no class of it, or is
            named like a trained head of the run or like its blend.
        RunError: the name cannot be a file's.
    """
    labels = run.read_labels()
    given, notes = _read(path, labels.classes, mapping)
    if given.model == BLEND:
        raise PredictionError(f"{path}: a model cannot be called '{BLEND}', the run's own blend is; rename the file")
    folds = run.read_folds()
    own = [run.read_oof(name) for name in run.head_names() if name != given.model]
    if run.head_path(given.model).is_file() or given.model in run.planned_heads():
        raise PredictionError(f"{path}: the run has a head '{given.model}' of its own; give the file another name")
    known = set(own[0].ids if own else folds.ids)
    require_fitting(rules, given.ids, path.name)
    matches = match_clips(given.ids, own[0].ids if own else folds.ids, path.name, rules)
    _require_clips(path, given, matches, known)
    given = given.renamed(matches.clip_of, labels.classes)
    mine = given.select([clip_id for clip_id in given.ids if clip_id in known])
    matching_values(labels, mine)
    warnings = (*_split_groups(mine, folds), *_too_good(mine, own, labels, folds))
    new = given.select([clip_id for clip_id in given.ids if clip_id not in known])
    added = ImportedPredictions(
        name=given.model,
        file=path.name,
        sha256=file_sha256(path),
        n_clips=len(mine.ids),
        n_new=len(new.ids),
        warnings=warnings,
        notes=(*notes, *matches.notes),
    )
    run.write_oof(given.model, replace(mine, fold=folds.of(mine.ids)))
    facts = {name: value for name, value in asdict(added).items() if name != "notes"}
    run.write_added(given.model, replace(new, fold=None), facts)
    if path.suffix.lower() == ".json":
        boxes = read_boxes(path)
        rows = [
            (matches.clip_of.get(clip_id, clip_id), *each.box, each.confidence, each.time_s)
            for clip_id, each in boxes.items()
        ]
        run.write_added_boxes(given.model, pd.DataFrame(rows, columns=list(BOX_COLUMNS)))
    return added


def read_new(run: RunDirectory, path: Path, mapping: ClassMapping | None = None) -> tuple[Predictions, tuple[str, ...]]:
    """What an added model says of new clips, and sentences on how it was read.

    Args:
        run: has the model, named like the file.
        path: a CSV, or the .json of MegaDetector or SpeciesNet.
        mapping: the class of each name in a .json.

    Raises:
        PredictionError: the file is neither.
    """
    if path.suffix.lower() != ".json":
        return read_csv(path), ()
    columns = run.read_oof(path.stem).classes if run.is_added(path.stem) and is_results(path) else None
    return _read(path, run.read_labels().classes, mapping, columns)


def boxes_of_detectors(run: RunDirectory, further: Sequence[Path], ids: Sequence[str]) -> dict[str, SurestBox]:
    """The surest box of each of some clips, of detectors whose results were brought into a run, or are given beside.

    Args:
        run: holds boxes of the clips that were in the results then.
        further: results; files of other forms tell no boxes.
        ids: the clips.
    """
    found: dict[str, SurestBox] = {}
    told = {
        row["clip_id"]: SurestBox(
            box=(float(row["left"]), float(row["top"]), float(row["width"]), float(row["height"])),
            confidence=float(row["confidence"]),
            time_s=float(row["time_s"]) if row["time_s"] else None,
        )
        for row in run.read_added_boxes().sort_values("confidence", key=pd.to_numeric).to_dict("records")
    }
    for boxes in (told, *(read_boxes(path) for path in further if path.suffix.lower() == ".json")):
        for clip_id, clip in match_clips(boxes, ids, "boxes").clip_of.items():
            if clip not in found or boxes[clip_id].confidence > found[clip].confidence:
                found[clip] = boxes[clip_id]
    return found


def _read(
    path: Path, classes: Sequence[str], mapping: ClassMapping | None, columns: Sequence[str] | None = None
) -> tuple[Predictions, tuple[str, ...]]:
    if path.suffix.lower() == ".json":
        return read_results(path, classes, mapping=mapping, columns=columns)
    return read_csv(path), ()


def added_predictions(run: RunDirectory, name: str, further: Sequence[Predictions] = ()) -> Predictions:
    """All that is known of an added model's answers: those brought into the run, and `further` ones of that name."""
    kept = [run.read_oof(name), run.read_added(name)]
    classes = kept[0].classes
    parts = [*kept, *(each.renamed({}, classes) for each in further if each.model == name)]
    rows: dict[str, NDArray[np.float64]] = {}
    for part in parts:
        if set(part.classes) != set(classes):
            raise PredictionError(
                f"{part.where}: the classes are {name_a_few(part.classes)}, but {name_a_few(classes)} when it was "
                "added to the run; give it the same columns"
            )
        order = [part.classes.index(each) for each in classes]
        rows |= dict(zip(part.ids, part.probabilities[:, order], strict=True))
    return Predictions(
        ids=tuple(rows),
        classes=classes,
        probabilities=np.array(list(rows.values())).reshape(-1, len(classes)),
        provenance={"model": name},
    )


def _require_clips(path: Path, given: Predictions, matches: Matches, known: set[str]) -> None:
    missing = sorted(known - set(matches.clip_of.values()))
    if not missing:
        return
    named = (
        f"; it has clips that the run does not know, such as {name_a_few(matches.unknown)}" if matches.unknown else ""
    )
    raise PredictionError(
        f"{path.name}: {len(missing)} of the run's {len(known)} clips are missing, such as {name_a_few(missing)}{named}"
        "; predict every labelled clip by a model that did not learn from it, under the paths of the run's labels.csv, "
        "or say how the ids differ with --id-map FROM=TO"
    )


def _split_groups(given: Predictions, folds: Folds) -> list[str]:
    """A warning if the model's own folds have clips of one site on both sides."""
    if given.fold is None:
        return []
    seen: dict[str, set[int]] = {}
    for group, fold in zip(folds.group_of(given.ids), given.fold.tolist(), strict=True):
        seen.setdefault(group, set()).add(fold)
    split = sorted(group for group, its in seen.items() if len(its) > 1)
    if not split:
        return []
    return [
        f"its folds split {len(split)} of {len(seen)} sites, such as {name_a_few(split)}: it learned from other clips "
        "of the sites that it is scored on, so its score flatters"
    ]


def _too_good(given: Predictions, own: Sequence[Predictions], labels: LabelTable, folds: Folds) -> list[str]:
    """A warning if the model does so well that it has probably seen the clips that it is scored on."""
    values = matching_values(labels, given)
    rivals = [each.select(given.ids) for each in own if set(given.classes) <= set(each.classes)]
    if not rivals:
        reached = float(np.nanmean(average_precision(values, given.probabilities))) if values.any() else 0.0
        if reached < _NEAR_PERFECT:
            return []
        return [f"its mean average precision is {reached:.3f}: it has probably learned from the clips it is scored on"]
    fold, suspicious = folds.of(given.ids), []
    others = [each.probabilities[:, [each.classes.index(name) for name in given.classes]] for each in rivals]
    for number in np.unique(fold).tolist():
        here = fold == number
        best = min(mean_log_loss(values[here], each[here]) for each in others)
        if mean_log_loss(values[here], given.probabilities[here]) < _SHARE_OF_OWN * best:
            suspicious.append(number)
    if not suspicious:
        return []
    listed = ", ".join(str(number) for number in suspicious)
    return [
        f"in fold {listed} its log loss is below a third of the best other model's: unless it is that much better, it "
        "has learned from the clips it is scored on, and so would every blend that trusts it"
    ]
