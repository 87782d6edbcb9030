"""A run directory: everything that training, blending and reporting leave behind, and nothing else.

config.yaml             the resolved recipe
labels.csv  folds.csv   what was learnt from, and in which fold each clip was scored
balance.csv             how the folds spread the classes
clips.csv               the clips that did not decode cleanly, with the reason
weights.csv             how many clips each labelled one stands for, where labels were chosen
unlabelled.csv          the clips without labels that were learned from, if any, and which fold's models were not
heads/<name>/           head.json, fold<k>.keras and epochs.jsonl; state.npz while it is being trained
oof/<name>.csv          out-of-fold probabilities of a head; oof/blend.csv those of the blend
frames/<name>.npz       how a head's out-of-fold scores of single frames are spread over each clip, if asked for
added/<name>/           added.json and new.csv of a model that was brought in from outside, boxes.csv if it told boxes
metrics.json blend.json report.html
.training               who trains the run, while somebody does
classes.csv             what classes are called elsewhere, if that was told
times.csv events.json   when clips were taken and the event of each, if asked for, and how that was found out
splits.json             scores beside those of other folds, if asked for; random_split/ and time_split/ are their runs
metadata.json           scores with and without clip facts, if asked for; other_metadata/ is the run of the other way
"""

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from heads.data import frame_statistics
from heads.data.history import Epoch
from heads.data.labels import LabelTable
from heads.data.predictions import Predictions, read_written
from heads.data.splitting.folds import Folds
from heads.errors import PredictionError, RunError, TrainError
from store.digest import file_sha256
from store.files import atomic_path, remove_abandoned, write_json, write_text
from store.portable import lock_file

BLEND = "blend"
PACKED = "packed.json"  # only in what was unpacked
CONFIG_VERSION = 1
_READERS = 2
_FOLDERS = ("heads", "oof", "frames", "added", "random_split", "time_split", "other_metadata")
BOX_COLUMNS = ("clip_id", "left", "top", "width", "height", "confidence", "time_s")
CLIP_COLUMNS = ("clip_id", "source", "status", "reason")
_TRAIN = "heads train --run {run} ..."
_BLEND = "heads blend --run {run}"
_FRAMES = "heads train --run {run} --frame-scores ..."
_ADD = "heads blend --run {run} --add ..."
_NO_FILE_NAME_HAS = '/\\:*?"<>|'
_PORTS = (f"{port}{number}" for port in ("com", "lpt") for number in range(10))
_NO_FILE_IS_CALLED = frozenset({"con", "prn", "aux", "nul", *_PORTS})
_WRITTEN_WITH = "written_with"  # in metrics.json: file name -> sha256


@dataclass(frozen=True)
class RunDirectory:
    """The paths of a run, and readers and writers of its pieces; every write is atomic.

    Every reader raises RunError, naming the command that makes the piece, if it is not there.
    """

    path: Path
    packed: Path | None = None  # the file that it was unpacked from, if it was

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))

    @property
    def named(self) -> Path:
        """What to call it where the user is told: the folder, or the file that it came in."""
        return self.packed or self.path

    @property
    def config_path(self) -> Path:
        """The resolved recipe, YAML."""
        return self.path / "config.yaml"

    @property
    def labels_path(self) -> Path:
        """The labels that were used, one-hot CSV."""
        return self.path / "labels.csv"

    @property
    def folds_path(self) -> Path:
        """clip_id, fold, group."""
        return self.path / "folds.csv"

    @property
    def balance_path(self) -> Path:
        """How many clips of each class each fold holds."""
        return self.path / "balance.csv"

    @property
    def clips_path(self) -> Path:
        """Clips that are not ok: clip_id, source, status, reason."""
        return self.path / "clips.csv"

    @property
    def weights_path(self) -> Path:
        """How many clips each labelled one stands for: clip_id, weight."""
        return self.path / "weights.csv"

    @property
    def unlabelled_path(self) -> Path:
        """Clips without labels that are learned from: clip_id, site, fold."""
        return self.path / "unlabelled.csv"

    @property
    def times_path(self) -> Path:
        """When clips were taken, and the event of each: clip_id, captured, event."""
        return self.path / "times.csv"

    @property
    def classes_path(self) -> Path:
        """What classes are called elsewhere, as it was given to `heads blend`: a table of `class`, `scientificName`."""
        return self.path / "classes.csv"

    @property
    def metrics_path(self) -> Path:
        """The scores of every head and blend, JSON."""
        return self.path / "metrics.json"

    @property
    def blend_path(self) -> Path:
        """The chosen blend, JSON."""
        return self.path / "blend.json"

    @property
    def report_path(self) -> Path:
        """The report, one HTML file."""
        return self.path / "report.html"

    def remove_leftovers(self) -> list[Path]:
        """Delete the temporary files that dead processes left anywhere in the run: those that were deleted."""
        below = [Path(folder) for name in _FOLDERS for folder, _, _ in os.walk(self.path / name)]
        return [path for folder in (self.path, *below) for path in remove_abandoned(folder, former=True)]

    @contextmanager
    def in_training(self) -> Iterator[None]:
        """Keep other trainings out of the run meanwhile; the lock of a process that was killed is gone with it.

        Nobody is kept out where files cannot be locked, as on some network file systems.

        Raises:
            TrainError: the run is being trained by somebody else.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / ".training").open("a+", encoding="utf-8")
        except OSError:  # a finished run need not be writable, and of any other training itself says so
            yield
            return
        with file:
            if not _is_free(file.fileno()):
                file.seek(0)
                raise TrainError(
                    f"{self.path}: is being trained already ({file.read() or 'by another process'}); wait until that "
                    "is done, or name another folder"
                )
            file.truncate(0)
            file.write(f"since {datetime.now():%Y-%m-%d %H:%M} by process {os.getpid()} on {socket.gethostname()}")
            file.flush()
            try:
                yield
            finally:
                file.truncate(0)

    def head_folder(self, name: str) -> Path:
        """Where the head called `name` keeps its files."""
        return self.path / "heads" / _plain(name)

    def head_path(self, name: str) -> Path:
        """What is known of a head: feature key, settings, metadata, seconds, versions; JSON."""
        return self.head_folder(name) / "head.json"

    def model_path(self, name: str, fold: int) -> Path:
        """The model of a head that has not seen the clips of `fold`."""
        return self.head_folder(name) / f"fold{fold}.keras"

    def epochs_path(self, name: str) -> Path:
        """How the training of a head went, a JSON line an epoch."""
        return self.head_folder(name) / "epochs.jsonl"

    def state_path(self, name: str) -> Path:
        """Where the training of a head stands while it goes on."""
        return self.head_folder(name) / "state.npz"

    def oof_path(self, name: str) -> Path:
        """The out-of-fold probabilities of a head, or of the blend (`blend`), CSV."""
        return self.path / "oof" / f"{_plain(name)}.csv"

    def frames_path(self, name: str) -> Path:
        """How a head's out-of-fold scores of single frames are spread over each clip."""
        return self.path / "frames" / f"{_plain(name)}.npz"

    def has_frames(self, name: str) -> bool:
        """Whether scores of single frames are kept for a head."""
        return self.frames_path(name).is_file()

    def added_path(self, name: str) -> Path:
        """Where the predictions of a model from outside came from, and what is wrong with them; JSON."""
        return self.path / "added" / _plain(name) / "added.json"

    def is_added(self, name: str) -> bool:
        """Whether a model was brought in from outside."""
        return self.added_path(name).is_file()

    def head_names(self) -> tuple[str, ...]:
        """The names of the heads, trained here or brought in, that have out-of-fold predictions, sorted."""
        return tuple(sorted(path.stem for path in (self.path / "oof").glob("[!.]*.csv") if path.stem != BLEND))

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write the resolved recipe."""
        write_text(self.config_path, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))

    def read_config(self) -> dict[str, Any]:
        """The resolved recipe, and what the run was begun with.

        Raises:
            RunError: the run was made by a later version.
        """
        config = dict(yaml.safe_load(self._text(self.config_path, _TRAIN)))
        version = config.setdefault("version", CONFIG_VERSION)
        if version > CONFIG_VERSION:
            raise RunError(
                f"{self.config_path}: made by a later version of Trapline (format {version}, expected at most "
                f"{CONFIG_VERSION}); update Trapline, or name a new folder with --run"
            )
        return config

    def planned_heads(self) -> tuple[str, ...]:
        """The names of the heads that the run was begun with, whether they are trained yet or not."""
        return tuple(self.read_config().get("sources", ())) if self.config_path.is_file() else ()

    @property
    def is_packed(self) -> bool:
        """Whether this is a packed model: it predicts, and its tables of clips have no rows."""
        return (self.path / PACKED).is_file()

    def write_packed(self, facts: Mapping[str, Any]) -> None:
        """Write what a packed model has instead of labels: `classes`, their `shares` of the `clips` that show them."""
        write_json(self.path / PACKED, facts)

    def class_shares(self, classes: Sequence[str]) -> NDArray[np.float64]:
        """(C,) the share of the labelled clips that show each class."""
        if self.is_packed:
            facts = self._json(self.path / PACKED, _TRAIN)
            share = dict(zip(facts["classes"], facts["shares"], strict=True))
            return np.array([share[name] for name in classes], np.float64)
        shares: NDArray[np.float64] = self.read_labels().only(classes).values.mean(axis=0)
        return shares

    def keep_classes(self, table: Path) -> None:
        """Keep a copy of a table of what classes are called elsewhere."""
        content = table.read_bytes()
        with atomic_path(self.classes_path) as temporary:
            temporary.write_bytes(content)

    def write_labels(self, labels: LabelTable) -> None:
        """Write the labels that the run uses, one-hot, with the site of each clip if it is known."""
        self._write_frame(self.labels_path, labels.to_frame())

    def read_labels(self) -> LabelTable:
        """The labels that the run uses."""
        return LabelTable.from_frame(self._frame(self.labels_path, _TRAIN, ("filename",)), self.labels_path.name)

    def write_folds(self, folds: Folds, fingerprints: Sequence[str] | None = None) -> None:
        """Write the fold and group of each clip, and the fingerprint of its file where these are given.

        Raises:
            ValueError: the folds were made without ids.
        """
        self._write_frame(self.folds_path, folds.to_frame(fingerprints))

    def write_balance(self, table: pd.DataFrame) -> None:
        """Write how the folds spread the classes, as `heads.data.splitting.folds.balance_table` gives it."""
        self._write_frame(self.balance_path, table.reset_index())

    def read_balance(self) -> pd.DataFrame:
        """How many `clips` and `groups` show each class, which is the index."""
        frame = self._frame(self.balance_path, _TRAIN, ("class", "clips", "groups")).set_index("class")
        return frame[["clips", "groups"]].astype(int)

    def read_folds(self) -> Folds:
        """The fold and group of each clip."""
        return Folds.from_frame(self._frame(self.folds_path, _TRAIN, ("clip_id", "fold", "group")))

    def read_fingerprints(self) -> dict[str, str]:
        """The fingerprint of each clip's file; empty for a run of before they were written."""
        frame = self._frame(self.folds_path, _TRAIN, ("clip_id",))
        return {} if "fingerprint" not in frame else dict(zip(frame["clip_id"], frame["fingerprint"], strict=True))

    def write_clips(self, clips: pd.DataFrame) -> None:
        """Write the clips that are not ok, with the columns clip_id, source, status, reason."""
        self._write_frame(self.clips_path, clips[list(CLIP_COLUMNS)])

    def read_clips(self) -> pd.DataFrame:
        """The clips that are not ok, all columns text; no rows if none was recorded."""
        return self._frame_if_any(self.clips_path, CLIP_COLUMNS)

    def write_weights(self, ids: Sequence[str], weights: NDArray[np.float64] | None) -> None:
        """Write how many clips each labelled one (N) stands for; nothing, if that is one each."""
        if weights is None:
            self.weights_path.unlink(missing_ok=True)
        else:
            self._write_frame(self.weights_path, pd.DataFrame({"clip_id": list(ids), "weight": weights}))

    def read_weights(self, ids: Sequence[str]) -> NDArray[np.float64] | None:
        """(n,) how many clips each of `ids` stands for, one on average; None if that is one each."""
        if not self.weights_path.is_file():
            return None
        frame = self._frame(self.weights_path, _TRAIN, ("clip_id", "weight"))
        weight = dict(zip(frame["clip_id"], frame["weight"].astype(float).tolist(), strict=True))
        found = np.array([weight.get(clip_id, 1.0) for clip_id in ids])
        return np.asarray(found / found.mean())

    def write_unlabelled(self, ids: Sequence[str], fold: NDArray[np.int64], sites: Mapping[str, str]) -> None:
        """Write the clips without labels that are learned from, their sites as far as known, and the fold of each."""
        frame = pd.DataFrame({"clip_id": list(ids), "site": [sites.get(name, "") for name in ids], "fold": fold})
        self._write_frame(self.unlabelled_path, frame)

    def read_unlabelled_sites(self) -> dict[str, str]:
        """The sites of the clips without labels that were learned from, where they are known."""
        frame = self._unlabelled()
        return {name: site for name, site in zip(frame["clip_id"], frame["site"], strict=True) if site}

    def read_unlabelled_folds(self) -> dict[str, int]:
        """The fold whose models did not learn from each clip without labels; -1 where all of them did."""
        frame = self._unlabelled()
        return dict(zip(frame["clip_id"], frame["fold"].astype(int).tolist(), strict=True))

    def _unlabelled(self) -> pd.DataFrame:
        return self._frame_if_any(self.unlabelled_path, ("clip_id", "site", "fold"))

    def write_times(self, stated: Mapping[str, datetime], events: Mapping[str, str], how: Mapping[str, Any]) -> None:
        """Write when clips were taken and the event of each, "" where that is not known, and how it was found out."""
        frame = pd.DataFrame(
            {
                "clip_id": list(stated),
                "captured": [when.isoformat() for when in stated.values()],
                "event": [events.get(clip_id, "") for clip_id in stated],
            }
        )
        self._write_frame(self.times_path, frame)
        write_json(self.path / "events.json", how)

    def read_times(self) -> dict[str, datetime]:
        """When the run's clips were taken, as far as known, with the zone if one was stated."""
        frame = self._times()
        return dict(zip(frame["clip_id"], map(datetime.fromisoformat, frame["captured"]), strict=True))

    def read_events(self) -> dict[str, str]:
        """The event of each of the run's clips that is in one; empty if events were not asked for."""
        frame = self._times()
        return {clip_id: event for clip_id, event in zip(frame["clip_id"], frame["event"], strict=True) if event}

    def read_event_settings(self) -> dict[str, Any]:
        """How times and events were found out: `event_gap_s`, `time_pattern`, `time_zone`; empty if they were not."""
        path = self.path / "events.json"
        return self._json(path, _TRAIN) if path.is_file() else {}

    def _times(self) -> pd.DataFrame:
        return self._frame_if_any(self.times_path, ("clip_id", "captured", "event"))

    def write_head(self, name: str, facts: Mapping[str, Any]) -> None:
        """Write what is known of a head."""
        write_json(self.head_path(name), facts)

    def read_head(self, name: str) -> dict[str, Any]:
        """What is known of a head."""
        return self._json(self.head_path(name), _TRAIN)

    def write_epochs(self, name: str, epochs: Sequence[Epoch]) -> None:
        """Write how the training of a head went so far."""
        write_text(self.epochs_path(name), "".join(epoch.to_json_line(name) for epoch in epochs))

    def write_oof(self, name: str, predictions: Predictions) -> None:
        """Write the out-of-fold probabilities of a head or blend."""
        with atomic_path(self.oof_path(name)) as temporary:
            predictions.write_csv(temporary)

    def read_oof(self, name: str) -> Predictions:
        """The out-of-fold probabilities of a head or blend.

        Raises:
            PredictionError: the file has no folds.
        """
        path = self.oof_path(name)
        self._require(path, _BLEND if name == BLEND else _TRAIN)
        predictions = read_written(path, model=name)
        if predictions.fold is None:
            raise PredictionError(f"{path.name}: there is no column 'fold', so these are not out-of-fold predictions")
        return predictions

    def read_all_oof(self) -> list[Predictions]:
        """The out-of-fold probabilities of every head, by name.

        Raises:
            RunError: there is none.
        """
        if self.is_packed:
            raise RunError(
                f"{self.path}: is a packed model, which predicts, and has nothing of the clips that it learned from; "
                "name the run that it was made of"
            )
        self._require_head()
        with ThreadPoolExecutor(_READERS) as threads:
            return list(threads.map(self.read_oof, self.head_names()))

    def write_frames(self, name: str, layers: Sequence[Predictions]) -> None:
        """Write how a head's out-of-fold scores of single frames are spread over each clip."""
        with atomic_path(self.frames_path(name)) as temporary:
            frame_statistics.write(temporary, layers)

    def read_frames(self, name: str) -> list[Predictions]:
        """How a head's out-of-fold scores of single frames are spread over each clip: a table a statistic."""
        self._require(self.frames_path(name), _FRAMES)
        return frame_statistics.read(self.frames_path(name), name)

    def write_added(self, name: str, new: Predictions, facts: Mapping[str, Any]) -> None:
        """Write what a model from outside says of clips that are not the run's, and where that came from."""
        with atomic_path(self.added_path(name).with_name("new.csv")) as temporary:
            new.write_csv(temporary)
        write_json(self.added_path(name), facts)

    def read_added(self, name: str) -> Predictions:
        """What a model from outside says of clips that are not the run's."""
        path = self.added_path(name).with_name("new.csv")
        self._require(path, _ADD)
        return read_written(path, model=name)

    def write_added_boxes(self, name: str, boxes: pd.DataFrame) -> None:
        """Write where a model from outside was surest to see something, with the columns `BOX_COLUMNS`."""
        self._write_frame(self.added_path(name).with_name("boxes.csv"), boxes[list(BOX_COLUMNS)])

    def read_added_boxes(self) -> pd.DataFrame:
        """Where models from outside were surest to see something, with the columns `BOX_COLUMNS`, all text."""
        paths = sorted((self.path / "added").glob("[!.]*/boxes.csv"))
        tables = [self._frame(path, _ADD, BOX_COLUMNS)[list(BOX_COLUMNS)] for path in paths]
        return pd.concat([_no_rows(BOX_COLUMNS), *tables])

    def read_added_facts(self, name: str) -> dict[str, Any]:
        """Where the predictions of a model from outside came from."""
        return self._json(self.added_path(name), _ADD)

    def write_blended(self, predictions: Predictions, blend: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
        """Write the chosen blend, its out-of-fold probabilities, and the scores of every head and blend.

        The scores come last and hold digests of the other two: until then, and where they do not match, readers say
        that blending was stopped, instead of mixing two blends.
        """
        self.write_oof(BLEND, predictions)
        write_json(self.blend_path, blend)
        write_json(self.metrics_path, {**metrics, _WRITTEN_WITH: self._blend_digests()})

    def read_metrics(self) -> dict[str, Any]:
        """The scores of every head and blend."""
        metrics = self._json(self.metrics_path, _BLEND)
        written_with = metrics.get(_WRITTEN_WITH)
        if written_with is not None and written_with != self._blend_digests():
            raise RunError(
                f"{self.path}: `heads blend` was stopped before it was done, so that blend.json, oof/{BLEND}.csv and "
                f"metrics.json are not of one blend; run `{_BLEND.format(run=self.path)}` again"
            )
        return metrics

    def _blend_digests(self) -> dict[str, str]:
        """The sha256 of the files that the scores belong to, "" for one that is not there."""
        files = {path.name: path for path in (self.blend_path, self.oof_path(BLEND))}
        return {name: file_sha256(path) if path.is_file() else "" for name, path in files.items()}

    def write_splits(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the heads' scores beside those of other folds, and keep those beside further ones.

        Args:
            name: `heads` for random folds, `time` for the past and the future of each place.
            rows: a dict a head.
        """
        path = self.path / "splits.json"
        kept = self._json(path, _TRAIN) if path.is_file() else {"heads": []}
        write_json(path, {**kept, name: [dict(row) for row in rows]})

    def read_splits(self, name: str = "heads") -> list[dict[str, Any]]:
        """The heads' scores beside those of other folds, as they were written; none if they were not asked for."""
        path = self.path / "splits.json"
        return list(self._json(path, _TRAIN).get(name, [])) if path.is_file() else []

    def write_metadata_worth(self, worth: Mapping[str, Any]) -> None:
        """Write the heads' scores with and without metadata."""
        write_json(self.path / "metadata.json", worth)

    def read_metadata_worth(self) -> list[dict[str, Any]]:
        """The heads' scores with and without metadata, a dict a head; none if they were not asked for."""
        path = self.path / "metadata.json"
        return list(self._json(path, _TRAIN)["heads"]) if path.is_file() else []

    def read_blend(self) -> dict[str, Any]:
        """The chosen blend.

        Raises:
            RunError: there is none, or no head yet that could be blended.
        """
        if not self.blend_path.is_file():
            self._require_head()
        blend = self._json(self.blend_path, _BLEND)
        self.read_metrics()
        return blend

    def write_report(self, html: str) -> None:
        """Write the report."""
        write_text(self.report_path, html)

    def _write_frame(self, path: Path, frame: pd.DataFrame) -> None:
        with atomic_path(path) as temporary:
            frame.to_csv(temporary, index=False, lineterminator="\n")

    def _frame(self, path: Path, command: str, columns: tuple[str, ...]) -> pd.DataFrame:
        self._require(path, command)
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        missing = [name for name in columns if name not in frame.columns]
        if missing:
            raise RunError(f"{path}: there is no column '{missing[0]}'; run `{command.format(run=self.path)}` again")
        return frame

    def _frame_if_any(self, path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
        """What training wrote to `path`, all text; no rows if it wrote none."""
        return self._frame(path, _TRAIN, columns) if path.exists() else _no_rows(columns)

    def _json(self, path: Path, command: str) -> dict[str, Any]:
        try:
            return dict(json.loads(self._text(path, command)))
        except json.JSONDecodeError as error:
            raise RunError(f"{path}: not JSON ({error}); run `{command.format(run=self.path)}` again") from error

    def _text(self, path: Path, command: str) -> str:
        self._require(path, command)
        return path.read_text(encoding="utf-8")

    def _require_folder(self) -> None:
        """Raise RunError unless this is a run, however little of one."""
        if not self.path.is_dir():
            raise RunError(f"{self.path}: there is no such run; make it with `{_TRAIN.format(run=self.path)}`")
        own = (self.config_path, self.labels_path, self.path / "oof", self.path / "heads")
        seen = (path for path in self.path.iterdir() if not path.name.startswith("."))
        if any(seen) and not any(path.exists() for path in own):
            raise RunError(f"{self.path}: is no run, expected its config.yaml; name a folder that `heads train` made")

    def _require_head(self) -> None:
        if not self.head_names():
            self._require_folder()
            raise RunError(f"{self.path}: no head is trained here; run `{_TRAIN.format(run=self.path)}` first")

    def _require(self, path: Path, command: str) -> None:
        if path.is_file():
            return
        self._require_folder()
        if not path.is_file():
            name = path.relative_to(self.path).as_posix()
            raise RunError(f"{self.path}: there is no {name} yet; run `{command.format(run=self.path)}` first")


def _no_rows(columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=str) for name in columns})


def _is_free(descriptor: int) -> bool:
    """Whether nobody holds the lock of an open file, which is held from now on; True where there are no locks."""
    try:
        return lock_file(descriptor, wait=False) is not False
    except OSError:
        return True


def can_name_file(name: str) -> bool:
    """Whether every system takes `name` as a file name, and it cannot lead out of the run directory."""
    is_device = name.partition(".")[0].lower() in _NO_FILE_IS_CALLED
    return _stays_inside(name) and not name.endswith((".", " ")) and not is_device


def _stays_inside(name: str) -> bool:
    """What runs have always asked of the name of a head: it cannot lead out of the run directory."""
    return bool(name) and not name.startswith(".") and not any(letter in name for letter in _NO_FILE_NAME_HAS)


def _plain(name: str) -> str:
    """`name`, if it is safe as a file name.

    Raises:
        RunError: it is not.
    """
    if not _stays_inside(name):
        raise RunError(f"'{name}' cannot name a head: it becomes a file name; use letters, digits, '-', '_', '+', '.'")
    return name
