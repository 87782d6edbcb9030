"""The feature store: immutable HDF5 parts of pooled activations, and the facts about each clip.

The names below are imported on first use, so that `store --help` does not pay for h5py and numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from store.access.reader import FeatureReader
    from store.featurestore import FeatureStore, KeyInfo
    from store.key import FeatureKey
    from store.records import ClipFacts, ClipFeatures, SeenAgainst, Status

__all__ = [
    "ClipFacts",
    "ClipFeatures",
    "FeatureKey",
    "FeatureReader",
    "FeatureStore",
    "KeyInfo",
    "SeenAgainst",
    "Status",
]

_HOMES = {
    "ClipFacts": "store.records",
    "ClipFeatures": "store.records",
    "FeatureKey": "store.key",
    "FeatureReader": "store.access.reader",
    "FeatureStore": "store.featurestore",
    "KeyInfo": "store.featurestore",
    "SeenAgainst": "store.records",
    "Status": "store.records",
}


def __getattr__(name: str) -> Any:
    """The public name `name`, imported from its module the first time it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'store' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
