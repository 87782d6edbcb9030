"""Which clips of a store a run learned from: by name, and by content where a clip has another name by now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from heads.run import RunDirectory
from store import FeatureStore


@dataclass(frozen=True, kw_only=True)
class KnownClips:
    """Clips that a run learned from, by the ids that a store gives them.

    Attributes:
        fold: the fold whose models did not learn from each.
        scored_as: the id under which each stands in the run's tables, where it is the same file for certain.
        guessed: clips without labels that the models of every fold may have learned from, by their own guesses.
    """

    fold: Mapping[str, int]
    scored_as: Mapping[str, str]
    guessed: frozenset[str]


def known_clips(run: RunDirectory, store: FeatureStore, ids: Sequence[str]) -> KnownClips:
    """Those of `ids` that the run learned from, or that are copies of what it learned from."""
    folds, fingerprints = run.read_folds(), run.read_fingerprints()
    labelled = dict(zip(folds.ids, folds.fold.tolist(), strict=True))
    unlabelled = run.read_unlabelled_folds()
    fold_of = labelled | {name: fold for name, fold in unlabelled.items() if 0 <= fold < folds.n_folds}
    original = {mark: name for name, mark in reversed(fingerprints.items()) if mark}
    marks = store.clips()["fingerprint"].to_dict()
    fold, scored_as = {}, {}
    for clip_id in ids:
        mark = str(marks.get(clip_id, ""))
        same = clip_id if mark and fingerprints.get(clip_id) == mark else original.get(mark)
        if same is None and clip_id not in fold_of:
            continue
        fold[clip_id] = fold_of[clip_id if same is None else same]
        if same is not None:
            scored_as[clip_id] = same
    guessed = frozenset(clip_id for clip_id in ids if clip_id in unlabelled and clip_id not in fold)
    return KnownClips(fold=fold, scored_as=scored_as, guessed=guessed)
