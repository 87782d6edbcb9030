"""Where networks lie that are fetched, exported or written once, for all stores and runs of a user."""

import os
from pathlib import Path

KERAS_SUFFIX = ".keras"


def models_folder() -> Path:
    """Keras' folder of models, where everything that is downloaded or converted once is kept."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "models"


def whole_network_path(name: str) -> Path:
    """Where the file of a network is kept that `featurize weights` writes and heads of kind `finetuned` tune."""
    return models_folder() / "networks" / f"{name}{KERAS_SUFFIX}"
