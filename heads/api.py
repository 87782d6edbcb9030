"""What the `heads` commands do, as functions of a notebook or a script: tables in, tables out, notes as warnings."""

import logging
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from heads.data.matching import match_clips, parse_id_map
from heads.data.reading.capture_times import read_source
from heads.data.tables import ID_COLUMNS
from heads.errors import HeadsWarning, RunError, TrainError, UnweighedError
from heads.evaluation.leaderboard import leaderboard
from heads.evaluation.thresholds import WANTED
from heads.recipe import Recipe, adapt, load_recipe
from heads.run import BLEND, RunDirectory
from store import FeatureStore
from store.console import native_chatter, stderr_console

with native_chatter(shown=False):  # TensorFlow talks when it is imported
    from heads.models.explain.attribution import trained_heads, weigh_frames
    from heads.models.explain.scoring import heads_to_score, score_frames
    from heads.report import compare_runs, write_report
    from heads.workflows.answers.external import import_predictions
    from heads.workflows.answers.predict import NewPredictions, predict_run
    from heads.workflows.blend import blend_run
    from heads.workflows.job import TrainingJob, read_job
    from heads.workflows.pool import score_whole
    from heads.workflows.progress_bar import Show, StepListener, steps_shown
    from heads.workflows.timing import timing_of
    from heads.workflows.training.agreement import LIMIT, with_soft_labels
    from heads.workflows.training.compare_metadata import compare_metadata as score_the_other_way
    from heads.workflows.training.compare_splits import compare_splits as score_on_random_folds
    from heads.workflows.training.compare_splits import compare_time as score_on_the_future
    from heads.workflows.training.train import be_deterministic, epochs_left
    from heads.workflows.training.train import train as train_heads

if TYPE_CHECKING:
    from heads.data.predictions import Predictions

_log = logging.getLogger(__name__)
Table = str | Path | pd.DataFrame
_SHOWN = ["name", "kind", "chosen", "mean_log_loss", "fold_spread", "map", "macro_f1"]


def train(
    store: str | Path | FeatureStore,
    labels: Table,
    *,
    run: str | Path,
    sites: Table | None = None,
    site_pattern: str | None = None,
    recipe: str | Path | Recipe | None = None,
    seed: int | None = None,
    epochs: int | None = None,
    metadata: bool = True,
    allow_missing: bool = False,
    unlabelled: bool = False,
    soft_labels: "str | Path | Run | None" = None,
    agreement: float = LIMIT,
    features: Sequence[str] = (),
    corrections: Sequence[str | Path] = (),
    leave_out_copies: bool = False,
    deterministic: bool = False,
    frame_scores: bool = False,
    compare_splits: bool = False,
    compare_metadata: bool = False,
    id_map: Sequence[str] = (),
    mapping: str | Path | None = None,
    times: Table | None = None,
    time_pattern: str | None = None,
    time_zone: str | None = None,
    event_gap: str | None = None,
    split: Literal["time", "given"] | None = None,
    progress: bool = True,
) -> "Run":
    """Train a recipe's heads over folds; what a stopped run has finished is kept.

    Example:
        import heads

        run = heads.train("STORE", labels="labels.csv", sites="sites.csv", run="RUN")
        run.blend()

    Args:
        store: the feature store, or its folder.
        labels: the label table: a file in any form that `heads train --labels` takes, or a DataFrame of that form.
        run: folder of the run; made if it is missing, continued if it is there.
        sites: `filename` and `site` of each clip, as a file or a DataFrame: clips of one site stay in one fold.
        site_pattern: a regular expression that finds the site in a clip's path, instead.
        recipe: what is trained: a file or a Recipe; the built-in default if None.
        seed: of folds, weights, dropout and order; the recipe's if None.
        epochs: the most that a head is trained for; as many as the recipe says if None.
        metadata: whether heads see clip facts (frame size, light, motion).
        allow_missing: leave out labelled clips that the store does not hold.
        unlabelled: learn from the store's clips without labels too, but for held-out sites.
        soft_labels: a run on the same labels: learn from clips without labels as its heads say where they agree.
        agreement: they do if their squared deviations from the mean, over heads and classes, add up to less.
        features: which features of the store to read: settings such as "fps=3", or names; all if empty.
        corrections: CSV files of what clips really show, as the report's lists are to be filled in.
        leave_out_copies: keep copies of a clip at one site only, instead of joining the sites that have them.
        deterministic: the same bits for the same seed, always.
        frame_scores: score single frames too, for the `+frames` blenders.
        compare_splits: train on random folds too: by how much they flatter.
        compare_metadata: train with and without clip facts: what they are worth.
        id_map: `FROM=TO`, as `heads train --id-map` takes it: how ids of the tables become the store's, where matching
            them by the ends of their paths does not do.
        mapping: CSV of `theirs,class`: the class that each name in the labels means; None to take names as they are.
        times: `filename` and `captured` of each clip, as a file or a DataFrame; what the clips' files say if None.
        time_pattern: how the time stands in clips' paths, such as "%Y%m%d_%H%M%S", instead.
        time_zone: that of capture times that tell none.
        event_gap: clips of a site that begin within this time of each other are one event, such as "30min".
        split: "time" to train once more on the past of each site and score its future; "given" to take the parts of the
            labels' column `split` for folds.
        progress: whether a bar is shown on stderr, or below the notebook's cell.

    Returns:
        The run.

    Raises:
        TraplineError: a table, a recipe or a folder is not what it should be; the message says what to do.
        StoppedError: the kernel was interrupted; the last epoch was finished and saved.

    Warns:
        HeadsWarning: scores flatter, or something is left out; a sentence each.
    """
    if deterministic:
        be_deterministic()
    opened, directory = _opened(store), RunDirectory(Path(run))
    given = recipe if isinstance(recipe, Recipe) else load_recipe(None if recipe is None else Path(recipe))
    wanted = adapt(given, seed=seed, no_metadata=not metadata, epochs=epochs)
    with (
        _as_file(labels, "labels") as labels_path,
        _as_file(sites, "sites") as sites_path,
        _as_file(times, "times") as times_path,
    ):
        timed_by = read_source(times_path, time_pattern, time_zone, event_gap)
        job = read_job(
            opened,
            labels_path,
            wanted,
            sites=sites_path,
            site_pattern=site_pattern,
            allow_missing=allow_missing,
            unlabelled=unlabelled or soft_labels is not None,
            features=features,
            corrections=[Path(path) for path in corrections],
            leave_out_copies=leave_out_copies,
            id_map=parse_id_map(id_map),
            mapping=None if mapping is None else Path(mapping),
            times=replace(timed_by, needed=split == "time"),
            given_split=split == "given",
        )
    if soft_labels is not None:
        if compare_splits:
            raise TrainError("compare_splits deals other folds, which the run of soft_labels has not; leave one out")
        teacher = soft_labels.path if isinstance(soft_labels, Run) else Path(soft_labels)
        job = with_soft_labels(job, RunDirectory(teacher), agreement)
    epochs = epochs_left(job, directory, comparisons=compare_splits + compare_metadata + (split == "time"))
    with _bar(epochs, shown=progress) as show:
        listener = StepListener(_warn, show)
        train_heads(job, directory, listener)
        if compare_splits:
            score_on_random_folds(job, directory, listener)
        if split == "time":
            score_on_the_future(job, directory, listener)
        if compare_metadata:
            score_the_other_way(job, directory, listener)
    if frame_scores:
        _score_frames(job, directory, shown=progress)
    return Run(directory.path)


class Run:
    """A trained run: blends it, reports it, and answers for clips.

    Example:
        run = heads.Run("RUN")
        run.leaderboard                                    # a DataFrame; a notebook shows `run` as this table
        new = run.predict("STORE").to_frame()

    Attributes:
        path: its folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._run = RunDirectory(self.path)

    def __repr__(self) -> str:
        """The folder, and what was made of it so far."""
        blended = f", blend '{self._run.read_metrics()['chosen']}'" if self._is_blended else ""
        return f"Run('{self.path}': {len(self._run.head_names())} models{blended})"

    def _repr_html_(self) -> str:
        """The leaderboard, or the heads where the run is not blended yet, as a notebook's table."""
        table = self.leaderboard[_SHOWN] if self._is_blended else self.heads
        return str(table.to_html(index=False, float_format="{:.4f}".format))

    @property
    def heads(self) -> pd.DataFrame:
        """The heads that are trained: `name`, `seconds` of training, and what they are made of.

        Raises:
            RunError: there is no such run.
        """
        rows = []
        for name in trained_heads(self._run):
            facts = self._run.read_head(name)
            rows.append(
                {
                    "name": name,
                    "kind": facts["settings"]["kind"],
                    "seconds": facts["seconds"],
                    "parameters": facts["parameters"],
                }
            )
        return pd.DataFrame(rows, columns=["name", "kind", "seconds", "parameters"])

    @property
    def leaderboard(self) -> pd.DataFrame:
        """Every head and blend, best first: `name`, `kind`, `chosen`, `n_classes`, `mean_log_loss`, `map`, `macro_f1`,
        `top_1`, `top_3`, `ece`, `fold_spread`. All scores are of clips that the model, or the blend, was not fitted on.

        Raises:
            RunError: the run is not blended yet.
        """
        return pd.DataFrame(leaderboard(self._run.read_metrics()))

    def blend(
        self,
        method: str | None = None,
        *,
        add: Sequence[str | Path] = (),
        also: Sequence[str] = (),
        precision: Sequence[float] = WANTED,
        recall: Sequence[float] = WANTED,
        id_map: Sequence[str] = (),
    ) -> pd.DataFrame:
        """Score every way to blend the heads' out-of-fold predictions, keep one, and return the leaderboard.

        Args:
            method: blender to keep; the one of the lowest nested log loss if None.
            add: CSV files of other models' out-of-fold predictions; NAME.csv becomes model NAME.
            also: blenders to score that are otherwise left out.
            precision: shares that thresholds of the report should keep of precision.
            recall: shares that thresholds of the report should keep of recall.
            id_map: `FROM=TO`: how ids of the added files become the run's.

        Raises:
            TraplineError: nothing is trained, a file or a blender is not what it should be.

        Warns:
            HeadsWarning: an added model's score cannot be believed.
        """
        rules = parse_id_map(id_map)
        for path in add:
            added = import_predictions(self._run, Path(path), rules)
            for sentence in (*added.notes, *(f"{path}: {each}" for each in added.warnings)):
                _warn(sentence)
        blend_run(self._run, method, also=also, precision=precision, recall=recall, note=_log.info)
        return self.leaderboard

    def report(
        self,
        store: str | Path | FeatureStore | None = None,
        *,
        videos: str | Path | None = None,
        decisions: str | Path | None = None,
    ) -> Path:
        """Write report.html into the run: one page that needs no network; with a store, with pictures.

        Args:
            store: of the clips, to show them.
            videos: folder of the clips, if it has moved.
            decisions: log of what people decided of the store's clips; the one beside the store if None.

        Returns:
            Where the page is.

        Raises:
            RunError: the run is not blended yet; or no picture could be had, and the report that is there has some.

        Warns:
            HeadsWarning: clips could not be shown in pictures, or the report that was there had some and no store is
                given.
        """
        opened = None if store is None else _opened(store)
        log = None if decisions is None else Path(decisions)
        collection = None if opened is None else score_whole(self._run, opened, log)
        for sentence in write_report(self._run, opened, None if videos is None else Path(videos), collection):
            _warn(sentence)
        return self._run.report_path

    def compare(self, other: "str | Path | Run") -> pd.DataFrame:
        """A later run against this one, on the clips that they share and by the later one's labels: a row for all
        classes together (`class` is ""), then one a class, with `clips`, `first`, `second` and `change` of the log
        loss, the 95 % interval `low` to `high` of the change, `verdict`, `first_ap` and `second_ap`.

        Args:
            other: the later run.

        Raises:
            RunError: one of the runs is not blended, or they share nothing.
        """
        later = other.path if isinstance(other, Run) else Path(other)
        found = compare_runs(self._run, RunDirectory(later)).differences
        rows = [{"class": each.name, **asdict(each), "change": each.change, "verdict": each.verdict} for each in found]
        return pd.DataFrame(rows).drop(columns="name")

    def predict(
        self,
        store: str | Path | FeatureStore,
        ids: Sequence[str] | None = None,
        *,
        add: Sequence["Predictions"] = (),
    ) -> NewPredictions:
        """Probabilities for clips of a store, by the blend; those that the run learned from get out-of-fold answers.

        Args:
            store: holds the features that the run's heads read.
            ids: clips, in the order wanted, such as a column of a DataFrame; all of the store if None. Ids that are not
                spelt as the store's are matched with them.
            add: what models from outside, which the blend uses, say of clips.

        Returns:
            Answers with the status and the origin of each clip, and its event if the run was trained with events;
            `to_frame()` gives a DataFrame.
        """
        opened = _opened(store)
        if ids is None:
            wanted = None
        else:
            matches = match_clips(ids, opened.clips().index, "ids")
            for sentence in matches.notes:
                _warn(sentence)
            wanted = [matches.rename(clip_id) for clip_id in ids]
        new = predict_run(self._run, opened, wanted, add)
        for sentence in new.notes:
            _warn(sentence)
        sites = self._run.read_labels().known_sites
        return new.with_events(timing_of(self._run, new.predictions.ids, opened.clips(), sites).events)

    def out_of_fold(self, model: str = BLEND) -> pd.DataFrame:
        """The probabilities that a head, or the blend, gave the labelled clips, none of which it was fitted on."""
        return self._run.read_oof(model).to_frame()

    def attend(self, store: str | Path | FeatureStore, clip_id: str, head: str | None = None) -> pd.DataFrame:
        """Which frames of a clip the heads' answers came from: `head`, `time_s`, `weight` (in sum 1 a head).

        Args:
            store: holds the clip.
            clip_id: the clip.
            head: one head; all that weigh frames if None.
        """
        opened, tables = _opened(store), []
        for name in [head] if head else trained_heads(self._run):
            try:
                [found] = weigh_frames(self._run, opened, name, [clip_id])
            except UnweighedError:
                if head:
                    raise
                continue
            tables.append(pd.DataFrame({"head": name, "time_s": found.times_s, "weight": found.weights}))
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["head", "time_s", "weight"])

    @property
    def _is_blended(self) -> bool:
        """Whether there is a whole blend: not if there is none, nor if blending was stopped."""
        try:
            return bool(self._run.read_metrics())
        except RunError:
            return False


def _warn(sentence: str) -> None:
    """Warn at the place that called this package: Python shows a warning of one place once, and each cell is one."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith("heads"):
        frame, level = frame.f_back, level + 1
    warnings.warn(sentence, HeadsWarning, stacklevel=level)


def _opened(store: str | Path | FeatureStore) -> FeatureStore:
    return store if isinstance(store, FeatureStore) else FeatureStore.open(store)


@contextmanager
def _bar(steps: int, *, shown: bool) -> Iterator[Show]:
    if not shown:
        yield lambda _: None
        return
    with steps_shown(stderr_console(), steps) as show:
        yield show


def _score_frames(job: TrainingJob, run: RunDirectory, *, shown: bool) -> None:
    asked = heads_to_score(run)
    with _bar(len(asked) * len(job.labels.ids), shown=shown) as show:
        score_frames(run, job.store, asked, StepListener(_warn, show).scored)


@contextmanager
def _as_file(table: Table | None, name: str) -> Iterator[Path]:
    """The file of a table; a DataFrame is written to one, so that it is read by the rules of files."""
    if not isinstance(table, pd.DataFrame):
        yield None if table is None else Path(table)  # type: ignore[misc]
        return
    frame = table.reset_index() if table.index.name in ID_COLUMNS else table
    # a mask of a notebook, such as `species == "deer"`, is a column of labels too
    frame = frame.astype(dict.fromkeys(frame.select_dtypes(bool).columns, int))
    with tempfile.TemporaryDirectory(prefix="trapline-") as folder:
        path = Path(folder) / f"{name} (DataFrame).csv"
        frame.to_csv(path, index=False)
        yield path
