"""From a store and a label table to a run directory with trained heads."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from heads.data.animal_names import ANIMALS, named_animals
from heads.data.features.statistics_cache import row_keys
from heads.data.labels import LabelTable
from heads.data.listener import Listener
from heads.data.splitting.folds import balance_table
from heads.errors import StoppedError, TrainError
from heads.evaluation.metrics import mean_log_loss
from heads.models.kinds.finetuned import network_file
from heads.models.networks import named_slope
from heads.recipe import HeadConfig, Recipe
from heads.run import CONFIG_VERSION, RunDirectory
from heads.trainers.checkpoint import Checkpoint
from heads.trainers.cross_validation import CrossValidatedHead, cross_validate_head
from heads.trainers.members import most_learned
from heads.workflows.job import Trained, TrainingJob, run_recipe
from heads.workflows.resolve import HeadSpec
from heads.workflows.timing import settings_of
from store import FeatureReader
from store.digest import file_sha256, settings_digest
from store.files import atomic_path

_LIBRARIES = ("trapline", "keras", "tensorflow", "numpy", "pandas", "scikit-learn")
OTHER_UNLABELLED = "other clips without labels, or other soft labels of them"
_SHARED = {
    "sources": "other sources",
    "labels_sha256": "other labels",
    "folds_sha256": "other folds",
    "unlabelled_sha256": OTHER_UNLABELLED,
    "features_sha256": "other features of the same clips (files have changed, or were decoded again)",
}


def train(job: TrainingJob, run: RunDirectory, listener: Listener) -> list[Trained]:
    """Train every head of a job over its folds, and write the run directory.

    A head that the run already holds is not trained again, and one that was stopped goes on after its last epoch.

    Args:
        job: what is trained on what.
        run: where everything is written.
        listener: called with each of the job's notes, and after every epoch.

    Returns:
        One entry a head, in the recipe's order.

    Raises:
        TrainError: the run was made with other settings, labels or features, or is being trained by somebody else.
        StoppedError: the user asked to stop; the last epoch was finished and saved.
    """
    for sentence in job.notes:
        listener.note(sentence)
    done = []
    with run.in_training():
        begin(job, run)
        for head in job.heads:
            done.append(train_head(job, run, head, listener))
            if listener.stopping.is_set():
                raise StoppedError(
                    f"stopped after head {head.name}, which is finished; the same command goes on from there"
                )
    return done


def epochs_left(job: TrainingJob, run: RunDirectory, *, comparisons: int = 0) -> int:
    """How many epochs training a run takes that holds some heads already, and training all once more per comparison."""
    kept = run.head_names()
    return sum((comparisons + (head.name not in kept)) * job.epochs(head) for head in job.heads)


def begin(job: TrainingJob, run: RunDirectory) -> None:
    """Write what the heads of a job are going to share, or make sure that the run was begun with just the same.

    Raises:
        TrainError: it was begun with something else, or holds a model from outside under the name of a head.
    """
    run.remove_leftovers()
    if run.is_packed:
        raise TrainError(f"{run.path}: is a packed model, which cannot be trained on; name a new folder with --run")
    if run.config_path.exists():
        other = difference(job, run)
        if other:
            raise TrainError(
                f"{run.path}: this run was begun with {other}; name a new folder with --run, or delete this one"
            )
    else:
        run.write_labels(job.labels)
        run.write_weights(job.labels.ids, job.weights)
        run.write_folds(job.folds, job.facts.loc[list(job.folds.ids), "fingerprint"].tolist())
        run.write_balance(balance_table(job.labels.values, job.folds, job.labels.classes))
        run.write_clips(job.set_aside)
        run.write_config(_config(job))
    if job.timed_by.is_given:
        own = {clip_id: job.times[clip_id] for clip_id in job.folds.ids if clip_id in job.times}
        run.write_times(own, job.events, settings_of(job.timed_by))
    if job.learns_unlabelled:
        run.write_unlabelled(job.unlabelled.ids, job.unlabelled.fold, job.sites)
    _require_own_names(run, job.heads)


def difference(job: TrainingJob, run: RunDirectory) -> str:
    """What a run was begun with that is not the job's, in words; "" if it was begun with just the same.

    Recipes are compared by meaning: a setting that the run's recipe could not name yet has its default, and heads for
    views that the store does not hold mean nothing.
    """
    before, config = run.read_config(), _config(job)
    if _that_fits(run_recipe(run), job).model_dump() != _that_fits(job.recipe, job).model_dump():
        return "another recipe"
    counted = run.read_weights(job.labels.ids)
    if (counted is None) != (job.weights is None) or (
        counted is not None and job.weights is not None and not np.allclose(counted, job.weights)
    ):
        return "labels that counted otherwise"
    return next((named for part, named in _SHARED.items() if before.get(part) != config[part]), "")


def _that_fits(recipe: Recipe, job: TrainingJob) -> Recipe:
    """The recipe without heads for views that the job's store does not hold, and without a limit that its clips are
    too few for.
    """
    views, most = {None, *(key.view["name"] for key in job.store.keys())}, most_learned(job.folds.fold)
    held = (head for head in recipe.heads if head.view in views)
    heads = (head if head.many_clips < most else head.model_copy(update={"many_clips": 0}) for head in held)
    return recipe.model_copy(update={"heads": tuple(heads)})


def _config(job: TrainingJob) -> dict[str, Any]:
    """What config.yaml says of a job."""
    labels, folds, unlabelled = job.labels, job.folds, job.unlabelled
    return {
        "version": CONFIG_VERSION,
        "recipe": job.recipe.model_dump(mode="json"),
        "sources": {head.name: [key.folder for key in head.keys] for head in job.heads},
        "labels_sha256": settings_digest([labels.ids, labels.classes, labels.values.tolist()]),
        "folds_sha256": settings_digest([folds.ids, folds.fold.tolist()]),
        "unlabelled_sha256": settings_digest(
            [unlabelled.ids, unlabelled.fold.tolist(), *([unlabelled.source] if unlabelled.source else [])]
        ),
        "features_sha256": _features_digest(job.readers, (*labels.ids, *unlabelled.ids)),
        "versions": versions_here(),
    }


def train_head(job: TrainingJob, run: RunDirectory, head: HeadSpec, listener: Listener) -> Trained:
    """Train one head of a run that was begun, unless the run holds it: a task that may run beside others, each in a
    process of its own.

    Raises:
        StoppedError: the user asked to stop during an epoch but the last; it was finished and saved.
    """
    resumed = head.name in run.head_names()
    if not resumed:
        _train_anew(job, run, head, listener)
    elif head.config.named and not run.read_head(head.name)["settings"].get("named"):
        listener.note(
            f"head {head.name} is kept as it was trained, without being told what the network itself takes a clip for, "
            "which was not kept then; give another --run to train heads that are told"
        )
    known = job.labels_of(head)
    loss = mean_log_loss(known.values, run.read_oof(head.name).select(job.labels.ids).probabilities)
    seconds = float(run.read_head(head.name)["seconds"])
    return Trained(name=head.name, mean_log_loss=loss, seconds=seconds, resumed=resumed)


def _require_own_names(run: RunDirectory, heads: Sequence[HeadSpec]) -> None:
    for head in heads:
        if run.is_added(head.name):
            raise TrainError(
                f"{run.path}: a model called '{head.name}' was brought in with --add, and the recipe has a head of "
                f"that name; give the head a `name` of its own, or delete {run.added_path(head.name).parent} and "
                f"{run.oof_path(head.name)}"
            )


def _features_digest(readers: Mapping[str, FeatureReader], ids: Sequence[str]) -> str:
    """What tells the features of these clips from those of the same clips after their files have changed."""
    marks = {folder: row_keys(reader, reader.index_of(ids)).tobytes().hex() for folder, reader in readers.items()}
    return settings_digest(sorted(marks.items()))


def _train_anew(job: TrainingJob, run: RunDirectory, head: HeadSpec, listener: Listener) -> None:
    """Train one head and write it; its out-of-fold table comes last, since that is what says that it is whole."""
    run.frames_path(head.name).unlink(missing_ok=True)  # they would be those of another training
    known = job.labels_of(head)
    trained: CrossValidatedHead = cross_validate_head(
        job.reader(head),
        job.facts,
        known,
        job.folds,
        head.config,
        name=head.name,
        seed=job.recipe.seed,
        weights=job.weights,
        unlabelled=job.unlabelled,
        checkpoint=Checkpoint(path=run.state_path(head.name), log=partial(run.write_epochs, head.name)),
        stopping=listener.stopping,
        report=partial(listener.epoch, head.name),
    )
    for number, part in enumerate(trained.folds):
        path = run.model_path(head.name, number)
        with atomic_path(path) as temporary:
            part.model.save(temporary)
    run.write_epochs(head.name, trained.epochs)
    run.write_head(head.name, _facts_of(head, known, trained))
    run.write_oof(head.name, trained.predictions)
    run.state_path(head.name).unlink(missing_ok=True)


def _facts_of(head: HeadSpec, labels: LabelTable, trained: CrossValidatedHead) -> dict[str, Any]:
    judgements = [None if part.judgement is None else asdict(part.judgement) for part in trained.folds]
    tuned = {"network_sha256": file_sha256(network_file(head.config.network))} if head.config.network else {}
    return {
        **tuned,
        "sources": [key.to_json() for key in head.keys],
        "settings": head.config.model_dump(mode="json"),
        "classes": list(labels.classes),
        "metadata": [part.metadata.model_dump(mode="json") for part in trained.folds],
        "prior": [part.prior.tolist() for part in trained.folds],
        "losses": [part.losses for part in trained.folds],
        "pseudo_labels": judgements if any(judgements) else None,
        "named": _named(head.config, labels, trained),
        "parameters": int(trained.folds[0].model.count_params()),
        "seconds": round(sum(epoch.seconds for epoch in trained.epochs), 2),
        "versions": versions_here(),
    }


def _named(config: HeadConfig, labels: LabelTable, trained: CrossValidatedHead) -> dict[str, Any] | None:
    """What speaks for which class by its name, and how much in each fold; None where nothing does."""
    if not config.named:
        return None
    meant = named_animals(labels.classes, config.names)
    return {
        "animals": {name: [ANIMALS[number] for number in numbers] for name, numbers in meant.items()},
        "slopes": [named_slope(part.model) for part in trained.folds],
    }


def versions_here() -> dict[str, str]:
    """The versions of Trapline and of the libraries that decide what is learned."""
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}


def be_deterministic() -> None:
    """Make TensorFlow give the same bits for the same seed on one machine, at some cost in speed."""
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
