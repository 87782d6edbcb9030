"""Blends: fitted on out-of-fold predictions, scored on folds they have not seen, applied to new clips by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from heads.blending.blenders import Blender, find_blender, known_blender
from heads.blending.blenders.calibrated import Calibrated
from heads.blending.blenders.cross_fit import Run, cross_fit_each
from heads.blending.blenders.logits import mean_over_models, to_logits, to_probabilities
from heads.blending.blenders.protocol import Stack
from heads.blending.blenders.remembered import Fits, Remembered
from heads.data.frame_statistics import FRAME_STATISTICS, layer_name
from heads.data.labels import LabelTable
from heads.data.nearby import Nearby, Window
from heads.data.predictions import Predictions
from heads.data.splitting.folds import Folds
from heads.errors import BlendError
from store.ids import name_a_few

Sees = Literal["probabilities", "logits", "frames"] | tuple[Window, ...]
_NONE: Mapping[str, Sequence[Predictions]] = MappingProxyType({})
Around = Callable[[Sequence[str]], Nearby]  # where clips stand among those of their place


@dataclass(frozen=True, kw_only=True, eq=False)
class Blend:
    """A fitted blender: JSON values only, so that it can be kept in blend.json.

    Attributes:
        method: name of the blender.
        models: (M) names of the models it combines, in order.
        classes: (C) classes it predicts.
        frame_models: those of `models` whose scores of single frames it takes too.
        by_time: whether the clips around a clip were told by times, where it takes them; else by the names of files.
        parameters: what the blender fitted.
    """

    method: str
    models: tuple[str, ...]
    classes: tuple[str, ...]
    frame_models: tuple[str, ...] = ()
    by_time: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def windows(self) -> Sequence[Window]:
        """What around a clip it takes."""
        return known_blender(self.method).windows

    @property
    def looks_around(self) -> bool:
        """Whether what is around a clip has a say: not where it told nothing when the blend was fitted."""
        return known_blender(self.method).looks_around(self.parameters)

    def apply(self, predictions: Sequence[Predictions], around: Around | None = None) -> Predictions:
        """Blend the models' predictions of the same clips.

        Args:
            predictions: one for each of `models`, and for each of `frame_models` the tables that `to_predictions`
                makes, in any order; further ones are ignored.
            around: where clips stand among those of their place; as if there were no others if None.

        Raises:
            BlendError: a model is missing, or predicts other clips or classes than it should.
        """
        by_name = {each.model: each for each in predictions}
        wanted = [*self.models, *(layer_name(model, each) for model in self.frame_models for each in FRAME_STATISTICS)]
        missing = [name for name in wanted if name not in by_name]
        if missing:
            raise BlendError(f"blend '{self.method}' needs the predictions of {name_a_few(missing)}; make them first")
        stack, first = stack_predictions([by_name[name] for name in self.models], self.classes)
        if self.frame_models:
            stack = np.concatenate([stack, stack_frames(by_name, self.models, self.classes, first)])
        if self.windows:
            stack = np.concatenate(
                [stack, stack_around(stack, None if around is None else around(first.ids), self.windows)]
            )
        return Predictions(
            ids=first.ids,
            classes=self.classes,
            probabilities=find_blender(self.method).predict(stack, self.parameters),
            fold=first.fold,
            provenance={"model": self.method, "blend_of": list(self.models)},
        )

    def apply_to_folds(
        self,
        per_fold: Sequence[Sequence[Predictions]],
        unseen: Mapping[str, int] = MappingProxyType({}),
        around: Around | None = None,
    ) -> Predictions:
        """Blend new clips: the blend of each fold's models, then the mean over folds.

        A blend was fitted on single models' predictions, so it is applied to such, not to their average.

        Args:
            per_fold: for each fold, the predictions of that fold's models, all of the same clips.
            unseen: the one fold to ask about a clip, where the models of all others have learned from it.
            around: where clips stand among those of their place; as if there were no others if None.

        Raises:
            BlendError: there is no fold, or the folds' predictions do not match.
        """
        if not per_fold:
            raise BlendError(f"blend '{self.method}' was given no predictions; predict with at least one fold's models")
        blended = [self.apply(predictions, around) for predictions in per_fold]
        ids = blended[0].ids
        each_fold = np.stack([_same_clips(each, blended[0]).probabilities for each in blended])
        found = each_fold.mean(axis=0)
        for row, clip_id in enumerate(ids):
            if clip_id in unseen:
                found[row] = each_fold[unseen[clip_id] if len(each_fold) > 1 else 0, row]
        return Predictions(ids=ids, classes=self.classes, probabilities=found, provenance=blended[0].provenance)

    def model_weights(self) -> dict[str, float] | None:
        """The weight of each model, mean over classes; None if the blender does not weigh models one by one."""
        return known_blender(self.method).model_weights(self.parameters, self.models)

    def to_json(self) -> dict[str, Any]:
        """The blend as JSON values; `from_json` turns them back."""
        statistics: dict[str, Any] = {"frame_statistics": list(FRAME_STATISTICS)} if self.frame_models else {}
        if self.windows:
            statistics |= {"windows": [each.to_json() for each in self.windows], "by_time": self.by_time}
        return {
            "method": self.method,
            "models": list(self.models),
            "classes": list(self.classes),
            "framed": list(self.frame_models),
            **statistics,
            "parameters": dict(self.parameters),
        }

    @classmethod
    def from_json(cls, spec: Mapping[str, Any]) -> "Blend":
        """The blend that `to_json` spelled out.

        Raises:
            BlendError: a field is missing, the blender is unknown, or it takes other statistics of single frames.
        """
        try:
            blend = cls(
                method=spec["method"],
                models=tuple(spec["models"]),
                classes=tuple(spec["classes"]),
                frame_models=tuple(spec.get("framed", ())),
                by_time=bool(spec.get("by_time", True)),
                parameters=spec["parameters"],
            )
        except KeyError as error:
            raise BlendError(f"blend.json: there is no {error}; run `heads blend` again") from error
        find_blender(blend.method)
        if blend.frame_models and spec.get("frame_statistics") != list(FRAME_STATISTICS):
            raise BlendError(
                "blend.json: another version fitted it to other statistics of single frames; delete the run's folder "
                "`frames`, and run `heads train --frame-scores` and `heads blend` again"
            )
        if blend.windows and spec.get("windows") != [each.to_json() for each in blend.windows]:
            raise BlendError(
                "blend.json: another version fitted it to other windows of time around clips; run `heads blend` again"
            )
        return blend


@dataclass(frozen=True, kw_only=True, eq=False)
class BlendData:
    """What blenders are fitted on: all models' out-of-fold predictions laid over each other, and the truth.

    Attributes:
        ids: (N) clips.
        models: (M) names.
        classes: (C).
        stack: (M, N, C) probabilities, NaN where a model lacks a class.
        labels: (N, C) 0 or 1.
        fold: (N,).
        frame_models: models whose scores of single frames are there.
        weights: (N,) how many clips each stands for; one each if None.
        frames: (S * M, N, C), each statistic of all models in turn, NaN where a model has none; None if none has.
        around: where the clips stand among those of their place and fold; None to let no clip tell of another.
    """

    ids: tuple[str, ...]
    models: tuple[str, ...]
    classes: tuple[str, ...]
    stack: NDArray[np.float64]
    labels: NDArray[np.uint8]
    fold: NDArray[np.int64]
    frame_models: tuple[str, ...] = ()
    frames: NDArray[np.float64] | None = None
    weights: NDArray[np.float64] | None = None
    around: Nearby | None = None

    def holding(self, oof: Sequence[Predictions]) -> list[Predictions]:
        """The predictions that the stack was made of, those of all classes without memory of their own."""
        return [
            replace(each, ids=self.ids, classes=self.classes, probabilities=own, fold=self.fold)
            if each.ids == self.ids and each.classes == self.classes
            else each
            for each, own in zip(oof, self.stack, strict=True)
        ]

    def fit(self, blender: Blender) -> Blend:
        """A blender fitted on everything; what it fitted must be scored by `cross_fit`."""
        fitted, sees = self._ready(blender)
        parameters = fitted.fit_weighted(self._stack_of(sees), self.labels, self.fold, self.weights)
        return Blend(
            method=blender.name,
            models=self.models,
            classes=self.classes,
            frame_models=self.frame_models if blender.takes_frames else (),
            by_time=self.around is None or self.around.timed,
            parameters=parameters,
        )

    def cross_fit(self, blender: Blender) -> Predictions:
        """Predictions where each fold is blended by a fit on the other folds.

        Returns:
            Predictions of every clip, whose score is honest: no clip, and no group, is on both sides.
        """
        return self.cross_fit_each([blender])[0]

    def cross_fit_each(self, blenders: Sequence[Blender], run: Run = map) -> list[Predictions]:
        """The same of several blenders; `run` does what `map` does, perhaps several at a time."""
        ready = [self._ready(blender) for blender in blenders]
        found: dict[int, NDArray[np.float64]] = {}
        for sees in dict.fromkeys(sees for _, sees in ready):
            places = [place for place, each in enumerate(ready) if each[1] == sees]
            several = [ready[place][0] for place in places]
            said = cross_fit_each(several, self._stack_of(sees), self.labels, self.fold, self.weights, run)
            found |= dict(zip(places, said, strict=True))
        return [
            Predictions(
                ids=self.ids,
                classes=self.classes,
                probabilities=found[place],
                fold=self.fold,
                provenance={"model": blender.name, "blend_of": list(self.models)},
            )
            for place, blender in enumerate(blenders)
        ]

    @cached_property
    def _fits(self) -> Fits:
        return {}

    @cached_property
    def logits(self) -> NDArray[np.float32]:
        """(M, N, C) those of `stack`, made once for all blenders, in half its memory; a class lies together in it.

        What is said out of fold and what a blend says when it is applied, of logits in float64, agree to 1e-7.
        """
        models, clips, classes = self.stack.shape
        logits = np.empty((classes, models, clips), np.float32).transpose(1, 2, 0)
        for place, own in enumerate(self.stack):
            logits[place] = to_logits(own)
        return logits

    def _ready(self, blender: Blender) -> tuple[Blender, Sees]:
        """The blender, which fits nothing that it, or the one that it calibrates, was fitted to before; and what it is
        fitted to.
        """
        if blender.takes_frames and self.frames is None:
            raise BlendError(
                f"blender '{blender.name}' takes scores of single frames, and the run has none; run `heads train` "
                "again with --frame-scores, which keeps the heads and adds these"
            )
        of_logits = None if blender.takes_frames or blender.windows else blender.on_logits()
        sees: Sees = "probabilities" if of_logits is None else "logits"
        if blender.takes_frames or blender.windows:
            sees = "frames" if blender.takes_frames else tuple(blender.windows)
        ready = of_logits or blender
        if isinstance(ready, Calibrated):
            return Calibrated(Remembered(ready.blender, self._fits)), sees
        return Remembered(ready, self._fits), sees

    def _stack_of(self, sees: Sees) -> Stack:
        if sees == "logits":
            return self.logits
        if sees == "probabilities":
            return self.stack
        if isinstance(sees, tuple):
            return np.concatenate([self.stack, stack_around(self.stack, self.around, sees)])
        return np.concatenate([self.stack, *([] if self.frames is None else [self.frames])])


def blend_data(
    oof: Sequence[Predictions], labels: LabelTable, folds: Folds, frames: Mapping[str, Sequence[Predictions]] = _NONE
) -> BlendData:
    """What blenders of `oof`, and of the scores of single `frames` of some of these models, are fitted on.

    Raises:
        BlendError: the models predict different clips, or none at all.
    """
    classes = blend_classes(oof, labels)
    stack, first = stack_predictions(oof, classes)
    columns = [labels.classes.index(name) for name in classes]
    models = tuple(each.model for each in oof)
    layers = {each.model: each for name in models for each in frames.get(name, ())}
    return BlendData(
        ids=first.ids,
        models=models,
        frame_models=tuple(name for name in models if name in frames),
        frames=stack_frames(layers, models, classes, first) if layers else None,
        classes=classes,
        stack=stack,
        labels=labels.select(first.ids).values[:, columns],
        fold=folds.of(first.ids),
    )


def blend_classes(oof: Sequence[Predictions], labels: LabelTable) -> tuple[str, ...]:
    """The labels' classes that at least one model knows, in the labels' order."""
    known = {name for each in oof for name in each.classes}
    return tuple(name for name in labels.classes if name in known)


def stack_predictions(
    predictions: Sequence[Predictions], classes: Sequence[str]
) -> tuple[NDArray[np.float64], Predictions]:
    """Lay predictions of the same clips over each other.

    Returns:
        (M, N, C) float64, NaN where a model lacks a class; and the first predictions, whose clip order it follows.

    Raises:
        BlendError: there is no prediction, two have one name, or two predict different clips.
    """
    if not predictions:
        raise BlendError("there is nothing to blend; train at least one head")
    names = [each.model for each in predictions]
    if len(set(names)) != len(names):
        raise BlendError(f"two models share a name ({', '.join(names)}); a blend finds models by name, rename one")
    first = predictions[0]
    # What a model says of one class lies together: so it is fitted, sorted and scored.
    stack = np.full((len(classes), len(predictions), len(first.ids)), np.nan).transpose(1, 2, 0)
    for layer, each in zip(stack, predictions, strict=True):
        aligned = _same_clips(each, first)
        for column, name in enumerate(classes):
            if name in aligned.classes:
                layer[:, column] = aligned.column(name)
    return stack, first


def stack_frames(
    layers: Mapping[str, Predictions], models: Sequence[str], classes: Sequence[str], first: Predictions
) -> NDArray[np.float64]:
    """Lay scores of single frames over each other: each statistic of all models, then the next.

    Args:
        layers: tables by name, as `heads.data.frame_statistics` names them.
        models: (M) models of the blend; one without tables gives NaN.
        classes: (C) classes.
        first: whose clips, and their order, are followed.

    Raises:
        BlendError: a table is of other clips.
    """
    nothing = Predictions(ids=first.ids, classes=(), probabilities=np.empty((len(first.ids), 0)))
    names = [layer_name(model, statistic) for statistic in FRAME_STATISTICS for model in models]
    ordered = [replace(layers.get(name, nothing), provenance={"model": name}) for name in names]
    return stack_predictions([first, *ordered], classes)[0][1:]


def stack_around(stack: NDArray[np.float64], around: Nearby | None, windows: Sequence[Window]) -> NDArray[np.float64]:
    """(W, N, C) the probability at the mean log odds, over models and over the clips in each window around each clip.

    Args:
        stack: (M, N, C) the models' probabilities.
        around: where the N clips stand among those of their place; NaN for all if it is not known.
        windows: (W) what is around a clip.
    """
    if around is None:
        return np.full((len(windows), *stack.shape[1:]), np.nan)
    return to_probabilities(around.means(mean_over_models(stack, to_logits), windows))


def _same_clips(each: Predictions, first: Predictions) -> Predictions:
    if each.ids == first.ids:
        return each
    odd = set(each.ids) ^ set(first.ids)
    if odd:
        raise BlendError(
            f"'{each.model}' and '{first.model}' predict different clips: {len(odd)} are in one only, such as "
            f"{name_a_few(sorted(odd))}; train or predict both on the same clips"
        )
    return each.select(first.ids)
