"""A run directory as training and blending leave it, made up from a known model of how wrong models are."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from heads.blending.blenders import find_blender
from heads.data.labels import LabelTable
from heads.data.predictions import Predictions
from heads.data.splitting.folds import assign_folds, balance_table
from heads.run import RunDirectory
from heads.workflows.blend import blend_run

NAMES = (
    "blank", "duiker", "other (primate)", "human", "chimpanzee", "hog", "rodent", "bird", "other (non-primate)",
    "elephant", "porcupine", "cattle", "small antelope", "large ungulate", "leopard", "hippopotamus", "gorilla",
    "small cat", "pangolin", "wild dog", "hyena", "forest buffalo", "reptile", "lion",
)  # fmt: skip
HEADS = (
    "attention-efficientnet_lite0", "attention-efficientnet_lite1", "attention-efficientnet_lite2",
    "third_place-efficientnet_lite0", "third_place-efficientnet_lite1", "recurrent-efficientnet_lite2",
)  # fmt: skip

MakeRun = Callable[..., RunDirectory]


def made_up_labels(n_clips: int, classes: tuple[str, ...], n_sites: int, rng: np.random.Generator) -> LabelTable:
    """Blank or one species, sometimes two; each site has its own mix, and species form a tail."""
    species = len(classes) - 1
    frequency = np.geomspace(1, 0.01, species)
    site = rng.integers(0, n_sites, n_clips)
    mix = frequency * rng.gamma(0.8, 1, (n_sites, species))
    values = np.zeros((n_clips, len(classes)), np.uint8)
    for clip in range(n_clips):
        if rng.random() < 0.45:
            values[clip, 0] = 1
            continue
        n_shown = 2 if rng.random() < 0.08 else 1
        chances = mix[site[clip]] / mix[site[clip]].sum()
        values[clip, 1 + rng.choice(species, n_shown, replace=False, p=chances)] = 1
    for column in np.flatnonzero(values.sum(axis=0) == 0):
        values[column] = np.eye(len(classes), dtype=np.uint8)[column]
    folder = [f"Taï forest/site {number:02d}" for number in site]
    ids = tuple(f"{folder[clip]}/clip {clip:05d}.mp4" for clip in range(n_clips))
    return LabelTable(ids=ids, classes=classes, values=values, sites=tuple(folder))


def made_up_oof(labels: LabelTable, skill: float, shared: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Probabilities of a model that sees the truth through noise, part of which it shares with other models."""
    own = rng.normal(0, 1, labels.values.shape)
    logit = skill * (3.2 * labels.values - 0.6) + 1.1 * shared + 0.9 * own + np.log(labels.values.mean(axis=0) + 1e-3)
    return 1 / (1 + np.exp(-logit))


@pytest.fixture(scope="session")
def made_runs(tmp_path_factory: pytest.TempPathFactory) -> MakeRun:
    """Blended runs by what they are made of, each made once and only read."""

    @cache
    def build(
        *,
        n_clips: int = 600,
        classes: tuple[str, ...] = NAMES[:9],
        heads: tuple[str, ...] = HEADS[:3],
        n_sites: int = 20,
        sites: bool = True,
        narrow_head: bool = False,
        blenders: tuple[str, ...] | None = None,
    ) -> RunDirectory:
        """A run, blended by all blenders, or by some where how well they do is not the point."""
        rng = np.random.default_rng(0)
        run = RunDirectory(tmp_path_factory.mktemp("made") / "Taï 2026")
        labels = made_up_labels(n_clips, classes, n_sites, rng)
        labels = labels if sites else replace(labels, sites=None)
        folds = assign_folds(labels.values, labels.sites, 5, 0, ids=labels.ids, classes=classes)
        run.write_labels(labels)
        run.write_folds(folds)
        run.write_balance(balance_table(labels.values, folds, labels.classes))
        shared = rng.normal(0, 1, labels.values.shape)
        for place, name in enumerate(heads):
            probabilities = made_up_oof(labels, 1.6 - 0.1 * place, shared, rng)
            run.write_oof(
                name, Predictions(ids=labels.ids, classes=classes, probabilities=probabilities, fold=folds.fold)
            )
            run.write_head(name, head_facts(place))
        if narrow_head:
            column = made_up_oof(labels, 1.5, shared, rng)[:, :1]
            run.write_oof(
                "blank-concat", Predictions(ids=labels.ids, classes=classes[:1], probabilities=column, fold=folds.fold)
            )
        run.write_clips(bad_clips())
        run.write_config({"seed": 0, "folds": 5, "heads": [{"name": "attention", "queries": 4}]})
        with pytest.MonkeyPatch.context() as patch:
            if blenders is not None:
                tried = {name: find_blender(name) for name in blenders}
                patch.setattr("heads.workflows.blend.blenders_to_try", lambda *_, **__: (tried, []))
            blend_run(run, most_clips_for_trees=0)
        return run

    return build


@pytest.fixture
def make_run(made_runs: MakeRun, tmp_path: Path) -> MakeRun:
    """A blended run for one test to change; every argument has a default."""

    def copy(path: Path | None = None, **made_of: object) -> RunDirectory:
        path = tmp_path / "Taï 2026" if path is None else path
        shutil.copytree(made_runs(**made_of).path, path, dirs_exist_ok=True)
        return RunDirectory(path)

    return copy


def head_facts(place: int) -> dict[str, object]:
    return {
        "source": {"backbone": f"efficientnet_lite{place}", "weights_sha256": "579344248a93e230", "input_px": 224},
        "settings": {"queries": 4, "epochs": 15},
        "metadata": ["width", "size_bytes"],
        "seconds": 41.5 + 7 * place,
        "versions": {"keras": "3.15.1", "numpy": np.__version__},
    }


def bad_clips() -> pd.DataFrame:
    rows = [
        ("old/header only.mp4", "efficientnet_lite0", "failed", "ffmpeg: moov atom not found"),
        ('old/<b>&"odd" name.avi', "efficientnet_lite0", "partial", "decoding broke after 31 of 45 frames"),
        ("old/seven.mp4", "efficientnet_lite0", "short", "7 frames, 45 were asked for"),
    ]
    return pd.DataFrame(rows, columns=["clip_id", "source", "status", "reason"])
