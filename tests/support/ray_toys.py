"""Rules for tests of a cluster: they take a moment a batch, and end the process over pictures that are nearly white."""

import os
import time

import numpy as np
from numpy.typing import NDArray

from featurize.backbones.runner import Runner
from featurize.backbones.spec import Backbone, NoWeights, Preprocessing, Tap
from featurize.pipeline.source import FeatureSource
from featurize.views.resize import Canvas

WHITE = 235
SECONDS_A_BATCH = 0.05


def build(backbone: Backbone) -> Runner:
    """The means of each picture's channels."""

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        means = pixels.mean(axis=(1, 2)).astype(np.float32)
        if means.max() > WHITE:
            os._exit(17)
        time.sleep(SECONDS_A_BATCH)
        return means

    return run


def toy_source(view: str = "whole") -> FeatureSource:
    backbone = Backbone(
        name="toy",
        input_px=32,
        preprocessing=Preprocessing(name="none", mean=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0)),
        taps=(Tap(name="means", layer="means", channels=3, stride=0),),
        builder="ray_toys:build",
        weights=NoWeights(version="toy"),
        parameters=0,
        licence="none",
        reference="none",
        kind="rules",
    )
    return FeatureSource(backbone=backbone, canvas=Canvas(px=32), view=view)
