"""Recipes: what `heads train` trains, as strict YAML."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from heads.errors import HeadsError
from store.config import StrictModel, load_yaml

_FACTS = Literal[
    "frame_size",
    "size_bytes",
    "bit_rate",
    "duration_s",
    "fps",
    "brightness_mean",
    "brightness_std",
    "saturation_mean",
    "infrared_share",
    "motion_mean",
]
DEFAULT_METADATA: tuple[_FACTS, ...] = (
    "frame_size",
    "size_bytes",
    "bit_rate",
    "brightness_mean",
    "brightness_std",
    "saturation_mean",
    "infrared_share",
    "motion_mean",
)
EACH_SOURCE: Literal["each"] = "each"


class RecipeError(HeadsError, ValueError):
    """A recipe asks for something that the store does not hold."""


class HeadConfig(StrictModel):
    """One kind of head, trained once for each of its sources.

    Attributes:
        kind: the architecture: `attention` as published, or `deviation` (see `heads.model`).
        sources: `each` for every source in the store, or a list of them (`backbone` or `backbone+view`).
        metadata: clip facts that the head sees beside the features; none for an empty list.
        dense_units: widths of the dense layers after pooling.
        metadata_units: widths of the dense layers over the metadata.
        dropout: share of activations dropped before (and, under `attention`, between) the dense layers.
        dense_dropout: share dropped after each dense layer, under `deviation`.
        epochs: passes over the training clips.
        batch_clips: clips in a batch.
        learning_rate: Adam's step size at the start.
        weight_decay: what is taken off the weights at each step, as a share of the step size.
        start_at_prior: whether the untrained head already gives each class its share among the training clips.
        schedule: `plateau` follows the training loss, `cosine` falls to nothing over the epochs.
        plateau_factor: what the step size is multiplied by when the training loss stops falling.
        plateau_epochs: epochs without a lower training loss before that.
        least_learning_rate: the step size never goes below this.
    """

    kind: Literal["attention", "deviation"] = "attention"
    sources: Literal["each"] | tuple[str, ...] = EACH_SOURCE
    metadata: tuple[_FACTS, ...] = DEFAULT_METADATA
    dense_units: tuple[int, ...] = (1024, 1024)
    metadata_units: tuple[int, ...] = (128, 128)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.25
    dense_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    epochs: Annotated[int, Field(ge=1)] = 15
    batch_clips: Annotated[int, Field(ge=2)] = 64
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    start_at_prior: bool = False
    schedule: Literal["plateau", "cosine"] = "plateau"
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.7
    plateau_epochs: Annotated[int, Field(ge=1)] = 2
    least_learning_rate: Annotated[float, Field(gt=0)] = 1e-4


class Recipe(StrictModel):
    """What one run trains.

    Attributes:
        folds: number of cross-validation folds.
        seed: of folds, weights and shuffling.
        heads: the heads.
    """

    folds: Annotated[int, Field(ge=2, le=50)] = 5
    seed: int = 0
    heads: Annotated[tuple[HeadConfig, ...], Field(min_length=1)] = (HeadConfig(),)


def load_recipe(path: Path | None) -> Recipe:
    """The recipe at `path`; the built-in `default.yaml` if None.

    Raises:
        ConfigError: the file is not a recipe.
    """
    return load_yaml(path or builtin_recipe("default"), Recipe)


def builtin_recipe(name: str) -> Path:
    """The path of a recipe that comes with Trapline: beside the package when installed, in `configs/` in a checkout."""
    package = Path(__file__).parent
    installed = package / "configs" / f"{name}.yaml"
    return installed if installed.exists() else package.parent / "configs" / f"{name}.yaml"
