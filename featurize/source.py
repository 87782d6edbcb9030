"""What features are made of: a backbone, its weights, and what part of the frame it sees."""

from dataclasses import dataclass
from pathlib import Path

from featurize.errors import SettingsError
from featurize.registry import Backbone
from featurize.resize import Canvas
from featurize.sampling import Sampling
from featurize.weights import locate_weights
from store.key import FeatureKey

VIEWS = ("whole",)


@dataclass(frozen=True, kw_only=True)
class FeatureSource:
    """One (backbone, view) pair, ready to be run.

    Attributes:
        backbone: a row of the registry.
        canvas: the size in which it sees frames.
        view: what part of a frame it sees.
        weights: its weights file; None for an untrained network, in tests only.
    """

    backbone: Backbone
    canvas: Canvas
    view: str = "whole"
    weights: Path | None = None

    def key(self, sampling: Sampling) -> FeatureKey:
        """The feature key of this source under a sampling."""
        return FeatureKey(
            backbone=self.backbone.name,
            weights_sha256=self.backbone.weights.sha256 if self.weights else "random",
            taps=tuple((tap.name, tap.channels) for tap in self.backbone.taps),
            input_px=self.canvas.px,
            resize=self.canvas.rule,
            preprocessing=self.backbone.preprocessing.name,
            view={"name": self.view},
            sampling=sampling.to_json(),
        )


def pretrained_source(backbone: Backbone, view: str = "whole") -> FeatureSource:
    """The source of a backbone with its published weights, which are verified.

    Raises:
        WeightsError: the weights are missing or changed.
        SettingsError: there is no such view.
    """
    if view not in VIEWS:
        raise SettingsError(f"view {view!r} is unknown, expected one of {', '.join(VIEWS)}")
    return FeatureSource(
        backbone=backbone, canvas=Canvas(px=backbone.input_px), view=view, weights=locate_weights(backbone)
    )
