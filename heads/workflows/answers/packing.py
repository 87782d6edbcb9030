"""One file of what prediction needs: heads, blend, calibration, thresholds, recipe, names of classes, no training data.

A packed model is a zip of a run whose tables of clips have no rows, with a list of every file's digest. Of what was
learned from, it keeps the digests of the clips' files and the fold of each, so that they get no fitted answers
elsewhere either. Networks that were quantised for the store go along in `networks`, from where `featurize --for` takes
them. It is data only: what it may hold is checked before anything of it is opened.
"""

import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from heads.data.reading.class_table import read_class_table
from heads.errors import RunError
from heads.models.trusted import require_plain_model
from heads.run import BLEND, PACKED, RunDirectory
from store import FeatureStore
from store.files import atomic_path
from store.format.network_file import FOLDER as NETWORKS
from store.format.network_file import find_network, network_folder
from store.key import FULL_PRECISION, FeatureKey

SUFFIX = ".trapline"
_FORMAT = 1
_MANIFEST = "manifest.json"
_MOST_BYTES = 4 << 30  # of all files together, unpacked
_MOST_FILES = 100_000
_OWN_FILES = frozenset(
    {
        *("config.yaml", "blend.json", "metrics.json", "labels.csv", "folds.csv", "balance.csv", "events.json"),
        *(PACKED, "classes.csv"),
    }
)
_DATE = (1980, 1, 1, 0, 0, 0)  # the same bytes whenever a run is packed


@dataclass(frozen=True, kw_only=True)
class PackedModel:
    """What a packed model says of itself.

    Attributes:
        run: the name of the run that it was made of.
        version: of Trapline, that made it.
        classes: that it tells apart.
        blend: how its heads are blended.
        heads: their names.
        sources: of the features that they read: network, view, sampling, size, digest of the weights.
        learned_from: how many labelled clips.
        scores: `mean_log_loss` and `map`, out of fold.
        files: the sha256 of each file.
    """

    run: str
    version: str
    classes: tuple[str, ...]
    blend: str
    heads: tuple[str, ...]
    sources: tuple[dict[str, Any], ...]
    learned_from: int
    scores: dict[str, Any]
    files: Mapping[str, str]

    @property
    def missing_networks(self) -> list[str]:
        """The sha256 of each quantised network that its features need and that it does not bring along."""
        needed = dict.fromkeys(source["quantised"] for source in self.sources if source.get("quantised"))
        return [digest for digest in needed if digest not in self.files.values()]


def pack(
    run: RunDirectory, out: Path, *, classes: Path | None = None, store: FeatureStore | None = None
) -> PackedModel:
    """Write what prediction needs of a blended run into one file; the same run gives the same bytes.

    Args:
        run: blended.
        out: the file, new or to be replaced; its name ends in `.trapline`.
        classes: a table of what classes are called elsewhere, which exports then use; the run's own if None.
        store: holds the quantised networks that the run's features were made by, if any were, to be packed along.

    Raises:
        LabelError: the table is not what it should be.
        RunError: the run is not blended, or its blend uses a model from outside, or the name is another; the store
            lacks a network.
    """
    if out.suffix != SUFFIX or out.is_dir():
        raise RunError(f"{out}: a packed model is a file whose name ends in {SUFFIX}; name it so")
    if not out.parent.is_dir():
        raise RunError(f"{out}: there is no folder {out.parent}; make it, or name a file in another folder")
    blend, metrics, labels, folds = run.read_blend(), run.read_metrics(), run.read_labels(), run.read_folds()
    outside = [name for name in blend["models"] if run.is_added(name)]
    if outside:
        raise RunError(
            f"{run.path}: its blend uses '{outside[0]}', which was brought in from outside and cannot be packed; train "
            "and blend a run without it"
        )
    marks = run.read_fingerprints()
    if not marks:
        raise RunError(
            f"{run.path}: is older than the list of what its clips are, without which a packed model would not know "
            "what it learned from; train it again"
        )
    if classes is not None:
        read_class_table(classes, blend["classes"])
    keys = _keys(run, blend["models"])
    networks = [] if store is None else _networks(store, keys)
    with tempfile.TemporaryDirectory() as scratch:
        bare = RunDirectory(Path(scratch))
        for name in blend["models"]:
            for path in (run.head_path(name), *sorted(run.head_folder(name).glob("fold*.keras"))):
                target = bare.head_folder(name) / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            bare.write_oof(name, run.read_oof(name).select(()))
        for path in (run.config_path, run.balance_path, run.path / "events.json"):
            if path.is_file():
                shutil.copyfile(path, bare.path / path.name)
        told = classes or run.classes_path
        if told.is_file():
            bare.keep_classes(told)
        bare.write_labels(labels.select(()))
        known = pd.DataFrame({"clip_id": folds.ids, "fold": folds.fold}).assign(group="")
        known["fingerprint"] = [marks.get(clip_id, "") for clip_id in folds.ids]
        known = known.sort_values(["fingerprint", "fold"]).assign(clip_id=[f"clip {row}" for row in range(len(known))])
        with atomic_path(bare.folds_path) as temporary:
            known.to_csv(temporary, index=False, lineterminator="\n")
        shares = labels.only(blend["classes"]).values.mean(axis=0).tolist()
        bare.write_packed({"classes": list(blend["classes"]), "shares": shares, "clips": len(labels.ids)})
        bare.write_blended(run.read_oof(BLEND).select(()), blend, metrics)
        files = {
            path.relative_to(bare.path).as_posix(): path.read_bytes()
            for path in sorted(bare.path.rglob("*"))
            if path.is_file()
        }
    files |= {f"{NETWORKS}/{path.name}": path.read_bytes() for path in networks}
    for name, content in files.items():
        if name.endswith(".keras"):
            require_plain_model(content, name)
    scores = metrics["blends"][metrics["chosen"]]
    model = PackedModel(
        run=run.path.resolve().name,
        version=version("trapline"),
        classes=tuple(blend["classes"]),
        blend=str(metrics["chosen"]),
        heads=tuple(blend["models"]),
        sources=tuple(_sources(keys)),
        learned_from=len(labels.ids),
        scores={name: scores[name] for name in ("mean_log_loss", "map")},
        files={name: sha256(content).hexdigest() for name, content in files.items()},
    )
    manifest = {"format": _FORMAT, **asdict(model)}
    with atomic_path(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(_MANIFEST, _DATE), json.dumps(manifest, indent=1, ensure_ascii=False))
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), content)
    return model


def _networks(store: FeatureStore, keys: Sequence[FeatureKey]) -> list[Path]:
    """The files of the quantised networks in a store that made the features of some keys.

    Raises:
        RunError: it lacks one.
    """
    folder, paths = network_folder(store.root), []
    for digest in dict.fromkeys(key.quantised for key in keys if key.quantised):
        path = find_network(folder, digest)
        if path is None:
            raise RunError(
                f"{folder}: has no file whose name ends in -{digest[:12]}.zip, the network that made features of this "
                "run; name the store that it was trained on"
            )
        paths.append(path)
    return paths


def read_packed(path: Path) -> PackedModel:
    """What a packed model says of itself; no model of it is opened.

    Raises:
        RunError: it is none, is damaged, or was made by a later version.
    """
    return _read(path)[0]


def unpack(path: Path, folder: Path) -> PackedModel:
    """Write a packed model into a new folder, which `--run` takes, after every file has been checked.

    Raises:
        RunError: it is no packed model, is damaged, or holds something that a head does not consist of; or the folder
            is there and not empty.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise RunError(f"{folder}: is there already; name a new folder")
    model, files = _read(path)
    for name, content in files.items():
        if name.endswith(".keras"):
            require_plain_model(content, f"{path.name}: {name}")
    for name, content in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return model


@contextmanager
def opened_run(path: Path) -> Iterator[RunDirectory]:
    """The run in a folder, or that in a packed model, which is unpacked for as long as it is used.

    Raises:
        RunError: the file is no packed model, is damaged, or holds something that a head does not consist of.
    """
    if not path.is_file():
        yield RunDirectory(path)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / path.stem
        unpack(path, folder)
        yield RunDirectory(folder, packed=path)


def _read(path: Path) -> tuple[PackedModel, dict[str, bytes]]:
    """What a packed model says of itself, and its files, whose digests are as it says."""
    try:
        content = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if len(members) > _MOST_FILES or sum(each.file_size for each in members) > _MOST_BYTES:
                raise RunError(f"{path.name}: would unpack into more than a model has; make it again with `heads pack`")
            manifest = json.loads(archive.read(_MANIFEST))
            if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
                found = manifest.get("format") if isinstance(manifest, dict) else None
                raise RunError(
                    f"{path.name}: is a packed model of format {found}, expected {_FORMAT}; update Trapline, or pack "
                    "the run again"
                )
            names = [each.filename for each in members if each.filename != _MANIFEST]
            if sorted(names) != sorted(manifest["files"]):
                raise RunError(f"{path.name}: its files are not those that it lists; get the file again")
            for name in names:
                _require_place(path, name)
            files = {name: archive.read(name) for name in names}
        for name, content in files.items():
            if sha256(content).hexdigest() != manifest["files"][name]:
                raise RunError(f"{path.name}: '{name}' is damaged; get the file again")
        said = {each.name: manifest[each.name] for each in fields(PackedModel)}
        lists = {name: tuple(said[name]) for name in ("classes", "heads", "sources")}
        return PackedModel(**{**said, **lists}), files
    except RunError:  # which is an error of files too
        raise
    except FileNotFoundError as error:
        raise RunError(f"{path}: there is no such file; name a file that `heads pack` made") from error
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, TypeError, NotImplementedError, RuntimeError) as error:
        raise RunError(f"{path.name}: is no packed model ({error}); name a file that `heads pack` made") from error


def _require_place(path: Path, name: str) -> None:
    """Raise RunError unless a file of this name belongs into a packed model."""
    parts = PurePosixPath(name).parts
    plain = name == "/".join(parts) and "\\" not in name and not any(part.startswith(".") for part in parts)
    known = (len(parts) == 1 and name in _OWN_FILES) or (
        len(parts) == 3
        and parts[0] == "heads"
        and (parts[2] == "head.json" or (parts[2].startswith("fold") and parts[2].endswith(".keras")))
    )
    table = len(parts) == 2 and parts[0] == "oof" and name.endswith(".csv")
    network = len(parts) == 2 and parts[0] == NETWORKS and name.endswith(".zip")
    if not plain or not (known or table or network):
        raise RunError(f"{path.name}: not opened, since it holds '{name}', which belongs into no packed model")


def _keys(run: RunDirectory, models: Sequence[str]) -> list[FeatureKey]:
    """The keys of the features that some heads read, each once."""
    keys = [FeatureKey.from_json(spec) for name in models for spec in run.read_head(name)["sources"]]
    return list({key.digest: key for key in keys}.values())


def _sources(keys: Sequence[FeatureKey]) -> Iterator[dict[str, Any]]:
    """What a packed model says of the features of some keys."""
    for key in keys:
        yield {
            "features": key.source,
            "sampling": dict(key.sampling),
            "input_px": key.input_px,
            "weights_sha256": key.weights_sha256,
            **({} if key.precision == FULL_PRECISION else {"precision": key.precision, "quantised": key.quantised}),
        }
