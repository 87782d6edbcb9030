import json
from pathlib import Path

import numpy as np
import pytest
from made_store import make_store

from heads.recipe import HeadConfig, Recipe, RecipeError, load_recipe
from heads.run import RunDirectory
from heads.train import resolve_heads, train_run
from store import FeatureStore
from store.errors import ConfigError

RECIPE = Recipe()
CONFIG = HeadConfig()


def test_recipes_say_what_is_wrong_with_them(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps({"heads": [{"kind": "attention", "epoch": 3}]}))
    with pytest.raises(ConfigError, match=r"heads\.0\.epoch: no such setting"):
        load_recipe(path)
    store = FeatureStore.open(tmp_path / "store", create=True)
    with pytest.raises(RecipeError, match="the store holds no features; run `featurize` first"):
        train_run(store, tmp_path / "labels.csv", RunDirectory(tmp_path / "run"), RECIPE)
    twice = Recipe(heads=(CONFIG, CONFIG))
    with pytest.raises(RecipeError, match="more than once"):
        resolve_heads(twice, make_store(tmp_path / "s", np.ones((3, 2), np.uint8)))


def test_the_recipes_that_come_along_are_valid() -> None:
    folder = Path(__file__).parents[2] / "configs"
    recipes = {path.stem: load_recipe(path) for path in folder.glob("*.yaml")}
    assert set(recipes) >= {"default", "demo", "third_place"}
    assert load_recipe(None) == recipes["default"]
    (published,) = recipes["third_place"].heads
    assert (published.dense_units, published.metadata_units, published.epochs) == ((1024, 1024), (128, 128), 15)
