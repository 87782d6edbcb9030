"""Makes `run_v1.tar.gz`: a small store, a run of every kind of head on it, and what the commands answered.

Made by commit 76884e6; never make it again. A run that a user made must go on working under every later version, and
that is what the archive stands for: made anew, by later code, it would stand for nothing. It was called, in the root of
the checkout, as

    PYTHONPATH=. python tests/data/make_run_v1.py FOLDER

What lies in the archive, below `run_v1/`:

store/                    features of 84 clips under two views; some could not be decoded under one or both
labels.csv sites.csv recipe.yaml outside.csv more/outside.csv     what the commands were given
run/                      the run, without its report and the models of `random_split` and `other_metadata`
answers/predictions.csv   what `heads predict --explain` says of all clips
answers/attend.json       what `heads attend` says of some clips, head by head
auto/                     oof/blend.csv, blend.json and metrics.json as `heads blend` without a method left them
blends/<method>.json      blend.json as other methods left it, of the heads `both`, `animals` and the one from outside
blends/<method>.csv       what `heads predict` says then
"""
# ruff: noqa: I001  what it imports stood where it says in its commit, and need not any more

import json
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from typer.testing import CliRunner

import heads.blenders.network
import heads.blenders.registry
from heads.cli import app
from store import ClipFacts, ClipFeatures, FeatureKey, FeatureStore, Status

CLASSES = ("blank", "deer", "wild boar")
N_LABELLED, N_GUESSED, N_CLIPS = 60, 12, 84  # the last 12 clips are of no known site, so that nothing learns from them
DIM = 8
NOWHERE, NOT_CLOSER = (4, 75), (9, 80)  # clips without frames under both views, and under the closer one
METHOD = "network+frames+calibrated"
OTHERS = (
    "mean",
    "mean_of_logits",
    "best_single",
    "mean_of_logits+calibrated",
    "greedy",
    "greedy_per_class",
    "logistic",
    "xgboost+frames+calibrated",
    "lightgbm+frames",
    "xgboost",
    "lightgbm+calibrated",
)
SMALL: dict[str, Any] = {
    "dense_units": [8],
    "batch_clips": 16,
    "epochs": 12,
    "learning_rate": 0.01,
    "sources": ["made"],
}
RECIPE: dict[str, Any] = {
    "folds": 3,
    "seed": 7,
    "heads": [
        {**SMALL, "seeds": 2, "queries": 2, "metadata_units": [4], "dropout": 0.1},
        {**SMALL, "kind": "recurrent", "recurrent_units": 4, "metadata": [], "mixup": 0.2, "label_smoothing": 0.05},
        {
            **SMALL,
            "kind": "deviation",
            "name": "lean",
            "sources": "each",
            "statistics": ["deviation", "direction", "event"],
            "queries": 0,
            "metadata": ["frame_size", "size_bytes", "brightness_mean"],
            "metadata_units": [],
            "tap_dropout": 0.1,
            "competing": True,
            "start_at_prior": True,
            "class_balance": 0.5,
        },
        {
            **SMALL,
            "kind": "deviation",
            "name": "looks",
            "statistics": ["deviation"],
            "queries": 1,
            "metadata": [],
            "schedule": "cosine",
            "averaging": 0.9,
            "shrinkage": 0.5,
        },
        {
            **SMALL,
            "kind": "deviation",
            "name": "guesses",
            "statistics": ["deviation"],
            "queries": 0,
            "metadata": [],
            "pseudo_epochs": 3,
            "pseudo_clips": 4,
            "seeds": 2,
        },
        {"kind": "discriminant", "name": "both", "joined": True, "statistics": ["deviation", "mean"]},
        {"kind": "discriminant", "name": "animals", "sources": ["made+motion"], "classes": ["deer", "wild boar"]},
    ],
}


def main(folder: Path) -> None:
    """Make the archive's folder in `folder`, and the archive beside it."""
    heads.blenders.network._UNITS, heads.blenders.network._BAGS = 16, 2  # a network of 5 MB says no more about a format
    heads.blenders.registry.MOST_CLIPS_FOR_TREES = 0  # so that `auto` answers alike where boosters are not installed
    root = folder / "run_v1"
    (root / "answers").mkdir(parents=True)
    (root / "more").mkdir()
    labels = draw_labels()
    write_store(root / "store", labels)
    write_tables(root, labels)
    call("train", *of(root, "store", "labels", "run", "recipe", "sites"), *flags("unlabelled", "frame-scores"))
    call(
        "train",
        *of(root, "store", "labels", "run", "recipe", "sites"),
        *flags("unlabelled", "compare-splits", "compare-metadata"),
    )
    call("blend", *of(root, "run"), "--add", root / "outside.csv")
    keep_blend(root / "run", root / "auto")
    make_other_blends(root, folder / "light")
    call("blend", *of(root, "run"), "--method", METHOD, "--also", "xgboost")
    predict(root / "run", root, root / "answers" / "predictions.csv", "--explain")
    looked = [
        json.loads(call("attend", *of(root, "run", "store"), "--clip", clip_ids()[place], "--json"))
        for place in (0, 17, 72, 83)
    ]
    (root / "answers" / "attend.json").write_text(json.dumps([each for several in looked for each in several]))
    shutil.rmtree(root / "store" / "cache", ignore_errors=True)
    for part in ("random_split", "other_metadata"):
        for model in (root / "run" / part).rglob("*.keras"):
            model.unlink()
    with tarfile.open(folder / "run_v1.tar.gz", "w:gz", compresslevel=9) as archive:
        archive.add(root, "run_v1", filter=nobody)


def make_other_blends(root: Path, light: Path) -> None:
    """What each other method leaves, and what it says; of few heads, so that asking is quick."""
    shutil.copytree(root / "run", light)
    for path in (light / "oof").glob("*-made*.csv"):
        if not path.name.startswith("animals"):
            path.unlink()
    (root / "blends").mkdir()
    for method in OTHERS:
        call("blend", "--run", light, "--method", method)
        shutil.copy(light / "blend.json", root / "blends" / f"{method}.json")
        predict(light, root, root / "blends" / f"{method}.csv")


def clip_ids() -> list[str]:
    """The clips: six sites, in letters that are not all ASCII."""
    return [f"sïte {place % 6}/clip {place:03d}.mp4" for place in range(N_CLIPS)]


def draw_labels() -> NDArray[np.uint8]:
    """(N, C) with about a third of each class, and some clips with both animals."""
    shown = np.random.default_rng(11).integers(0, 4, N_CLIPS)
    return np.stack([shown == 0, np.isin(shown, (1, 3)), np.isin(shown, (2, 3))], axis=1).astype(np.uint8)


def made_key(view: str) -> FeatureKey:
    """The key of one of the two views."""
    return FeatureKey(
        backbone="made",
        weights_sha256="random",
        taps=(("low", 3), ("high", DIM - 3)),
        input_px=64,
        resize="equal_area",
        preprocessing="none",
        view={"name": view},
        sampling={"mode": "fps", "fps": 1.0, "max_frames": 180},
    )


def write_store(root: Path, labels: NDArray[np.uint8]) -> None:
    """A store in which a clip of class c shows it in column 3 + c of some of its frames."""
    store, ids, rng = FeatureStore.open(root, create=True), clip_ids(), np.random.default_rng(12)
    with store.clip_writer() as facts:
        for place, clip_id in enumerate(ids):
            facts.add(clip_facts(clip_id, place, rng))
    lengths, starts = rng.integers(3, 8, N_CLIPS), rng.integers(0, 4, N_CLIPS)
    for view, missing in (("whole", NOWHERE), ("motion", NOWHERE + NOT_CLOSER)):
        with store.writer(made_key(view)) as writer:
            for place, clip_id in enumerate(ids):
                length = 0 if place in missing else int(lengths[place])
                features = rng.normal(0, 0.6, (length, DIM)).astype(np.float32)
                features[starts[place] : starts[place] + 3, 3 : 3 + len(CLASSES)] += 1.5 * labels[place]
                energy = np.abs(features[:, 3:6]).max(axis=1, initial=0.0)
                box = np.tile(np.array([0.25, 0.25, 0.75, 0.75], np.float32), (length, 1))
                writer.add(
                    ClipFeatures(
                        clip_id=clip_id,
                        fingerprint=f"print of {place}",
                        status=Status.OK if length else Status.FAILED,
                        reason="" if length else "made to fail",
                        times_s=np.arange(length) / 2,
                        features=features,
                        per_frame={"motion_energy": energy}
                        if view == "whole"
                        else {"motion_energy": energy, "box": box},
                    )
                )


def clip_facts(clip_id: str, place: int, rng: np.random.Generator) -> ClipFacts:
    """Facts of one clip: two sizes of frames, some facts unknown."""
    return ClipFacts(
        clip_id=clip_id,
        path=f"/nowhere/{clip_id}",
        size_bytes=int(rng.integers(10_000, 90_000)),
        mtime_ns=place,
        fingerprint=f"print of {place}",
        status=Status.FAILED if place in NOWHERE else Status.OK,
        reason="made to fail" if place in NOWHERE else "",
        width=64 if place % 2 else 96,
        height=48,
        duration_s=float(rng.uniform(5, 60)),
        bit_rate=float(rng.uniform(1e5, 1e6)) if place % 5 else float("nan"),
        brightness_mean=float(rng.uniform(0.2, 0.8)),
        infrared_share=float(place % 3 == 0),
    )


def write_tables(root: Path, labels: NDArray[np.uint8]) -> None:
    """Labels, sites, the recipe, and what a model from outside says: of some new clips at once, of others later."""
    ids = clip_ids()
    table = pd.DataFrame(labels[:N_LABELLED], columns=list(CLASSES))
    table.insert(0, "filename", ids[:N_LABELLED])
    table.to_csv(root / "labels.csv", index=False)
    known = ids[: N_LABELLED + N_GUESSED]
    pd.DataFrame({"filename": known, "site": [clip_id.split("/")[0] for clip_id in known]}).to_csv(
        root / "sites.csv", index=False
    )
    (root / "recipe.yaml").write_text(yaml.safe_dump(RECIPE, sort_keys=False))
    noise = np.random.default_rng(13).normal(0, 1.5, labels.shape)
    said = pd.DataFrame(1 / (1 + np.exp(-(3.0 * labels - 1.5 + noise))), columns=list(CLASSES)).round(6)
    said.insert(0, "clip_id", ids)
    said.iloc[: N_CLIPS - 8].to_csv(root / "outside.csv", index=False)
    said.iloc[N_CLIPS - 8 :].to_csv(root / "more" / "outside.csv", index=False)


def of(root: Path, *names: str) -> list[object]:
    """Options that name files of the archive."""
    files = {"labels": "labels.csv", "recipe": "recipe.yaml", "sites": "sites.csv"}
    return [word for name in names for word in (f"--{name}", root / files.get(name, name))]


def flags(*names: str) -> list[str]:
    """Options without a value."""
    return [f"--{name}" for name in names]


def predict(run: Path, root: Path, out: Path, *further: str) -> None:
    """Predict all clips of the store into `out`."""
    added = root / "more" / "outside.csv"
    call("predict", "--run", run, *of(root, "store"), "--out", out, "--add", added, *further)


def keep_blend(run: Path, folder: Path) -> None:
    """Copy what `heads blend` wrote."""
    for name in ("oof/blend.csv", "blend.json", "metrics.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(run / name, folder / name)


def call(*words: object) -> str:
    """What a command prints."""
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    if done.exit_code:
        raise SystemExit(done.output)
    print(*words, done.stderr, done.stdout, sep="\n", file=sys.stderr)
    return done.stdout


def nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """An entry of the archive without its owner."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    main(Path(sys.argv[1]))
