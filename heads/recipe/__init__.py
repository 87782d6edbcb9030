"""What a run trains: recipes, and the kinds of heads that they name."""

from heads.recipe.settings import (
    DEFAULT_METADATA,
    EACH_SOURCE,
    HeadConfig,
    Recipe,
    adapt,
    builtin_recipe,
    load_recipe,
)

__all__ = ["DEFAULT_METADATA", "EACH_SOURCE", "HeadConfig", "Recipe", "adapt", "builtin_recipe", "load_recipe"]
