"""Settings of a head that learns what `made_store` shows, in no time."""

from typing import Any

from heads.recipe import HeadConfig


def small_head(**settings: Any) -> HeadConfig:
    """A head of eight units over deviations, that learns from unlabelled clips for two epochs; `settings` override."""
    small: dict[str, Any] = {
        "kind": "deviation",
        "statistics": ("deviation",),
        "queries": 0,
        "dense_units": (8,),
        "metadata": (),
        "pseudo_epochs": 2,
        "batch_clips": 16,
        "pseudo_clips": 4,
        "learning_rate": 0.01,
    }
    return HeadConfig(**{**small, **settings})
