"""What networks themselves take frames for is kept beside their features, where their weights say it."""

from collections.abc import Mapping

from featurize.backbones.spec import PackagedWeights, find_function
from featurize.pipeline.source import FeatureSource
from store import FeatureStore
from store.key import FeatureKey


def keep_classifiers(keys: Mapping[FeatureSource, FeatureKey], store: FeatureStore) -> None:
    """Keep the last layer of each source's network beside the features that the store holds of it.

    A network with other weights than its own may have been taught other classes, and has none kept.

    Raises:
        StoreWriteError: the disk refused.
    """
    for source, key in keys.items():
        row, weights = source.backbone, source.weights
        own = isinstance(row.weights, PackagedWeights) and weights.sha256 == row.weights.sha256
        if not row.classifier or not own or weights.path is None:
            continue
        if store.folder(key).is_dir() and not store.has_classifier(key):
            store.add_classifier(key, find_function(row.classifier)(row, weights.path))
