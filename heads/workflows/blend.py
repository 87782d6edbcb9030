"""`heads blend`: score every head and every blend honestly, keep the best blend, and say how they rank."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from heads.blending.blend import BlendData, blend_data
from heads.blending.blenders import Blender, blenders_to_try, find_blender
from heads.blending.blenders.calibrated import SUFFIX
from heads.blending.blenders.registry import MOST_CLIPS_FOR_TREES
from heads.blending.contribution import ablate_models, error_correlation
from heads.blending.selection import (
    AUTO,
    blend_losses,
    choose_blend,
    compare_blends,
    predict_leave_fold_out,
    refine_leave_fold_out,
    select_leave_fold_out,
)
from heads.data.coarser import coarser_taxa
from heads.data.labels import BLANK, LabelTable
from heads.data.nearby import nearby
from heads.data.predictions import Predictions
from heads.data.reading.class_table import read_class_table
from heads.data.splitting.events import folds_of_events, labels_of_events, predictions_of_events
from heads.data.splitting.folds import Folds
from heads.errors import BlendError
from heads.evaluation.blank_removal import blank_removal
from heads.evaluation.leaderboard import METRICS_VERSION, leaderboard, prior_predictions
from heads.evaluation.metrics import evaluate, matching_values
from heads.evaluation.rollup import PRECISION, rollup_thresholds
from heads.evaluation.standard_errors import group_numbers
from heads.evaluation.thresholds import WANTED, group_draws, species_thresholds
from heads.evaluation.verdicts import Say, say_of_clips
from heads.run import RunDirectory
from heads.workflows.timing import clock_of

_THREADS = 2  # each holds a copy of all models' predictions: more would cost memory rather than save time


def blend_run(
    run: RunDirectory,
    method: str | None = None,
    *,
    also: Sequence[str] = (),
    precision: Sequence[float] = WANTED,
    recall: Sequence[float] = WANTED,
    most_clips_for_trees: int = MOST_CLIPS_FOR_TREES,
    note: Callable[[str], None] | None = None,
    class_table: Path | None = None,
    rollup: float = PRECISION,
) -> list[dict[str, Any]]:
    """Blend the heads of a run; writes oof/blend.csv, blend.json and metrics.json.

    Args:
        run: a run with at least one trained head.
        method: name of the blender to keep; `auto`, or None, for the one of the lowest nested log loss (of fewer than
            200 clips the simplest within a standard error of that), followed by calibration if that lowers it further.
        also: names of blenders to score that are otherwise left out.
        precision: shares, above 0 to 1, of which each species' thresholds should keep the precision.
        recall: shares of which they should keep the recall.
        most_clips_for_trees: on more clips than these, boosted trees are scored only if they are asked for.
        class_table: a table of the taxon of each class with its genus and family, which is kept in the run; the one
            that was given before if None.
        rollup: the precision that a genus or family, said where no species is sure, should keep.
        note: called with a sentence for each blender that is left out, and why.

    Returns:
        The leaderboard, best first: `name`, `kind` (head, blend, choice, baseline), `chosen`, `n_classes`,
        `mean_log_loss`, `map`, `macro_f1`, `fold_spread`. The choice is of each fold by the blend that would be kept if
        that fold were not known; there is none where a `method` was named.

    Raises:
        RunError: the run has no trained head.
        BlendError: `method` is unknown, the heads predict different clips, or a wanted share is none.
    """
    for share in (*precision, *recall, rollup):
        if not 0 < share <= 1:
            raise BlendError(
                f"a wanted precision or recall of {share:g} is no share (--precision, --recall, --rollup); give one "
                "above 0 and up to 1"
            )
    if class_table is not None:
        read_class_table(class_table, run.read_labels().classes)
        run.keep_classes(class_table)
    told = None if method in (None, AUTO) else find_blender(str(method))
    oof, labels, folds = run.read_all_oof(), run.read_labels(), run.read_folds()
    asked = [*also, *([] if told is None else [told.name])]
    with_frames = [name for name in run.head_names() if run.has_frames(name)]
    clock, notes = clock_of(run)
    blenders, left_out = blenders_to_try(
        len(oof[0].ids),
        asked,
        has_frames=bool(with_frames),
        has_times=bool(clock),
        most_clips_for_trees=most_clips_for_trees,
    )
    takes_frames = any(blender.takes_frames for blender in blenders.values())
    frames = {name: run.read_frames(name) for name in with_frames} if takes_frames else {}
    looks_around = any(blender.windows for blender in blenders.values())
    if looks_around and not clock:
        notes = (*notes, "no capture times are known, so the clips around a clip are told by the names of files")
    for sentence in (*notes, *left_out):
        if note is not None:
            note(sentence)
    data = blend_data(oof, labels, folds, frames)
    around = None
    if looks_around:
        side = dict(zip(folds.ids, folds.fold.tolist(), strict=True))
        around = nearby(
            data.ids, sites=labels.known_sites, clock=clock, side=side.__getitem__, marks=run.read_fingerprints()
        )
    data = replace(data, weights=run.read_weights(data.ids), around=around)
    oof = data.holding(oof)
    # Blenders are fitted beside each other: more threads under each of them would only wait for one another.
    with threadpool_limits(limits=1, user_api="blas"):
        blends = _cross_fit(blenders.values(), data)
        any_blend = next(iter(blends.values()))
        values, groups = matching_values(labels, any_blend), group_numbers(folds.group_of(any_blend.ids))
        losses, of_fold = blend_losses(blends, values, data.weights), dict[int, str]()
        if told is None:
            chosen, of_fold = _choose(blends, losses, data, values, groups)
        else:
            chosen = told.name
        by_others = [predict_leave_fold_out(of_fold, blends, data.fold)] if of_fold else []
        with ThreadPoolExecutor(_THREADS) as threads:
            contributions = threads.submit(_contributions, oof, any_blend, values, groups, data)
            fitted = threads.submit(data.fit, find_blender(chosen))
            metrics = {
                **_scores(oof, blends, by_others, labels, folds, threads),
                "chosen": chosen,
                "chosen_without_fold": [{"fold": number, "blend": name} for number, name in of_fold.items()],
                "comparison": compare_blends(losses, groups),
                "contributions": contributions.result(),
                "blank_removal": _blank_removal(blends[chosen], values, data.fold, groups),
                "thresholds": _thresholds(blends[chosen], values, data.fold, groups, precision, recall, threads),
                "events": _event_scores(blends[chosen], labels, folds, run.read_events()),
            }
        metrics["rollup"] = _rollup(run, blends[chosen], values, folds, metrics, rollup)
        run.write_blended(blends[chosen], fitted.result().to_json(), metrics)
    return leaderboard(metrics)


def _choose(
    blends: dict[str, Predictions],
    losses: dict[str, NDArray[np.float64]],
    data: BlendData,
    values: NDArray[np.uint8],
    groups: NDArray[np.int64],
) -> tuple[str, dict[int, str]]:
    """The blend to keep, and for each fold the one that would be kept without it; `blends` and their `losses` gain
    calibrated ones.
    """
    whole = choose_blend(compare_blends(losses, groups), len(data.ids))
    of_fold = select_leave_fold_out(losses, groups, data.fold)
    names = sorted({whole, *of_fold.values()})
    options = {name: (name,) if find_blender(name).is_calibrated else (name, name + SUFFIX) for name in names}
    lacking = [name for several in options.values() for name in several if name not in blends]
    further = _cross_fit(map(find_blender, lacking), data)
    blends |= further
    losses |= blend_losses(further, values, data.weights)
    chosen = min(options[whole], key=lambda name: float(losses[name].mean()))
    with_options = {number: options[name] for number, name in of_fold.items()}
    return chosen, refine_leave_fold_out(with_options, losses, data.fold)


def _cross_fit(blenders: Iterable[Blender], data: BlendData) -> dict[str, Predictions]:
    """The nested predictions of each blender, by name; those that fit most, calibrations above all, are begun first."""
    slowest_first = sorted(blenders, key=lambda blender: (not blender.is_calibrated, -blender.complexity))
    with ThreadPoolExecutor(_THREADS) as threads:
        made = {each.model: each for each in data.cross_fit_each(slowest_first, threads.map)}
    by_complexity = sorted(slowest_first, key=lambda blender: blender.complexity)
    return {blender.name: made[blender.name] for blender in by_complexity}


def _scores(
    oof: Sequence[Predictions],
    blends: Mapping[str, Predictions],
    by_others: Sequence[Predictions],
    labels: LabelTable,
    folds: Folds,
    threads: ThreadPoolExecutor,
) -> dict[str, Any]:
    """The scores of every head and blend, of choosing one, and of the baseline, as metrics.json holds them."""
    prior = prior_predictions(labels, folds, oof[0].ids)
    kinds = {"heads": oof, "blends": [*blends.values()], "choice": by_others, "baselines": [prior]}
    scored = threads.map(lambda each: evaluate(labels, each, folds), chain(*kinds.values()))
    found = {kind: {each.model: next(scored) for each in several} for kind, several in kinds.items()}
    return {"version": METRICS_VERSION, **found}


def _contributions(
    oof: Sequence[Predictions],
    blend: Predictions,
    values: NDArray[np.uint8],
    groups: NDArray[np.int64],
    data: BlendData,
) -> dict[str, Any] | None:
    """What each model that knows every class adds, how often greedy selection picks it, and how their errors correlate;
    None if there are not two.
    """
    full = [each for each in oof if set(each.classes) == set(blend.classes)]
    if len(full) < 2:
        return None
    models = [each.model for each in full]
    rows = [data.models.index(name) for name in models]
    every = len(rows) == len(data.models)
    stack, logits = (data.stack, data.logits) if every else (data.stack[rows], data.logits[rows])
    return {
        "models": models,
        "left_out": ablate_models(stack, models, values, groups, logits),
        "greedy_weights": data.fit(find_blender("greedy")).model_weights(),
        "error_correlation": error_correlation(stack, values),
    }


def _blank_removal(
    blend: Predictions, values: NDArray[np.uint8], fold: NDArray[np.int64], groups: NDArray[np.int64]
) -> list[dict[str, Any]] | None:
    """How many blanks can be dropped; None without a class `blank` or without clips of both kinds."""
    if BLANK not in blend.classes:
        return None
    is_blank = values[:, blend.classes.index(BLANK)] == 1
    if is_blank.all() or not is_blank.any():
        return None
    removals = blank_removal(blend.column(BLANK), is_blank, fold, groups)
    return [
        {**asdict(removal), "threshold": removal.threshold if np.isfinite(removal.threshold) else None}
        for removal in removals
    ]


def _event_scores(
    blend: Predictions, labels: LabelTable, folds: Folds, events: Mapping[str, str]
) -> dict[str, Any] | None:
    """The scores of clips whose event is known, and of events, which are as probable as their most probable clips; None
    if no event has several clips.
    """
    own = {clip_id: events[clip_id] for clip_id in blend.ids if clip_id in events}
    if len(set(own.values())) == len(own):
        return None
    known, said = labels.select(list(own)), blend.select(list(own))
    return {
        "clips": len(own),
        "events": len(set(own.values())),
        "by_clip": evaluate(known, said, folds),
        "by_event": evaluate(
            labels_of_events(known, own), predictions_of_events(said, own), folds_of_events(folds, own)
        ),
    }


def _rollup(
    run: RunDirectory,
    blend: Predictions,
    values: NDArray[np.uint8],
    folds: Folds,
    metrics: Mapping[str, Any],
    precision: float,
) -> list[dict[str, Any]] | None:
    """What can be said by genus and family of clips of which nothing finer is sure; None without a table of classes."""
    if not run.classes_path.is_file():
        return None
    taxa = read_class_table(run.classes_path, blend.classes)
    coarser = coarser_taxa({name: taxon.higher for name, taxon in taxa.items()})
    sites = run.read_labels().sites is not None
    said = say_of_clips(
        blend.probabilities.tolist(), blend.classes, metrics, run.read_balance(), folds.n_folds, sites=sites
    )
    unsure = np.array([all(say is not Say.SURE for _, say in found) for found in said])
    fold, group = folds.of(blend.ids), np.unique(folds.group_of(blend.ids), return_inverse=True)[1]
    own = (blend.probabilities[unsure], values[unsure], fold[unsure], group[unsure])
    return rollup_thresholds(coarser, blend.classes, *own, precision)


def _thresholds(
    blend: Predictions,
    values: NDArray[np.uint8],
    fold: NDArray[np.int64],
    group: NDArray[np.int64],
    precision: Sequence[float],
    recall: Sequence[float],
    threads: ThreadPoolExecutor,
) -> dict[str, list[dict[str, Any]]]:
    """For each species the thresholds for each wanted precision, then for each wanted recall."""
    aims = [*(("precision", share) for share in precision), *(("recall", share) for share in recall)]
    draws = group_draws(int(group.max()) + 1)

    def of_species(column: int) -> list[dict[str, Any]]:
        said, shown = blend.probabilities[:, column], values[:, column] == 1
        return [asdict(each) for each in species_thresholds(said, shown, fold, group, aims, draws)]

    return dict(zip(blend.classes, threads.map(of_species, range(len(blend.classes))), strict=True))
