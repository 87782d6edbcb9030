"""The last layers of networks that were trained on ImageNet, for the animals among its classes: the first 398."""

from pathlib import Path

import numpy as np

from featurize.backbones.builders.torch_checkpoint import read_torch_checkpoint
from featurize.backbones.spec import Backbone
from store.format.classifier_file import IMAGENET_ANIMALS, Classifier

_ANIMALS = 398


def efficientnet_lite_animals(backbone: Backbone, weights: Path) -> Classifier:
    """The animals' part of what an EfficientNet-Lite ends in behind its last tap, from its checkpoint."""
    tensors = read_torch_checkpoint(weights)
    return Classifier(
        classes=IMAGENET_ANIMALS,
        tap=backbone.taps[-1].name,
        kernel=np.ascontiguousarray(tensors["_fc.weight"][:_ANIMALS].T),
        bias=tensors["_fc.bias"][:_ANIMALS],
    )
