"""Video to frames to pretrained backbone to feature store.

The names below are imported on first use, so that `featurize --help` pays for no library of numbers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from featurize.api import plan, run
    from featurize.backbones.registry import find_backbone
    from featurize.errors import FeaturizeWarning
    from featurize.pipeline.estimate import estimate_cost
    from featurize.pipeline.extract import extract
    from featurize.pipeline.plan import Plan
    from featurize.pipeline.summary import Progress, Summary
    from featurize.views.sampling import Sampling

__all__ = [
    "FeaturizeWarning",
    "Plan",
    "Progress",
    "Sampling",
    "Summary",
    "estimate_cost",
    "extract",
    "find_backbone",
    "plan",
    "run",
]

_HOMES = {
    "FeaturizeWarning": "featurize.errors",
    "Plan": "featurize.pipeline.plan",
    "Progress": "featurize.pipeline.summary",
    "Sampling": "featurize.views.sampling",
    "Summary": "featurize.pipeline.summary",
    "estimate_cost": "featurize.pipeline.estimate",
    "extract": "featurize.pipeline.extract",
    "find_backbone": "featurize.backbones.registry",
    "plan": "featurize.api",
    "run": "featurize.api",
}


def __getattr__(name: str) -> Any:
    """The public name `name`, imported from its module the first time it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'featurize' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
