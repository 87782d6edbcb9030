"""Light heads on cached features: trained over folds, blended honestly, and reported.

The names below are imported on first use, so that `heads --help` does not pay for TensorFlow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heads.api import Run, train
    from heads.data.labels import LabelTable
    from heads.data.predictions import Predictions
    from heads.errors import HeadsWarning
    from heads.recipe import HeadConfig, Recipe, load_recipe

__all__ = ["HeadConfig", "HeadsWarning", "LabelTable", "Predictions", "Recipe", "Run", "load_recipe", "train"]

_HOMES = {
    "HeadConfig": "heads.recipe",
    "HeadsWarning": "heads.errors",
    "LabelTable": "heads.data.labels",
    "Predictions": "heads.data.predictions",
    "Recipe": "heads.recipe",
    "Run": "heads.api",
    "load_recipe": "heads.recipe",
    "train": "heads.api",
}


def __getattr__(name: str) -> Any:
    """The public name `name`, imported from its module the first time it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'heads' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
