"""What `heads pack` and `heads unpack` do, once their words are parsed."""

from dataclasses import asdict
from pathlib import Path

from heads.run import RunDirectory
from heads.workflows.answers.packing import PackedModel, read_packed, unpack
from heads.workflows.answers.packing import pack as pack_run
from store import FeatureStore
from store.console import print_json, stderr_console
from store.format.network_file import FOLDER as NETWORKS
from store.ids import counted, name_a_few


def pack(run_folder: Path, out: Path, *, classes: Path | None, store_root: Path | None, as_json: bool) -> None:
    """Write a run as one file, and say what is in it."""
    run = RunDirectory(run_folder)
    model = pack_run(run, out, classes=classes, store=None if store_root is None else FeatureStore.open(store_root))
    _warn_of_missing(model, out, "pack with --store STORE, the store that the run was trained on")
    if as_json:
        print_json({"out": str(out), "bytes": out.stat().st_size, **_told(model)})
        return
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
    _show(model)


def unpack_model(packed: Path, out: Path | None, *, as_json: bool) -> None:
    """Say what a packed model is, and write it into a new folder if one is named."""
    model = read_packed(packed) if out is None else unpack(packed, out)
    _warn_of_missing(
        model, packed, "have the run packed again with `heads pack --store STORE`, the store that it was trained on"
    )
    if as_json:
        print_json({"out": None if out is None else str(out), **_told(model)})
        return
    _show(model)
    if out is not None:
        print(f"unpacked into {out}, which --run takes")


def _warn_of_missing(model: PackedModel, packed: Path, remedy: str) -> None:
    if model.missing_networks:
        stderr_console().print(
            f"warning: {packed.name} reads features of {counted(len(model.missing_networks), 'quantised network')}, "
            f"which it does not bring along; {remedy}",
            style="bold red",
            highlight=False,
            soft_wrap=True,
        )


def _told(model: PackedModel) -> dict[str, object]:
    return {name: value for name, value in asdict(model).items() if name != "files"}


def _show(model: PackedModel) -> None:
    loss, ranked = model.scores["mean_log_loss"], model.scores["map"]
    print(f"run {model.run}, packed by Trapline {model.version}, learned from {counted(model.learned_from, 'clip')}")
    print(f"{counted(len(model.classes), 'class')}: {name_a_few(model.classes)}")
    print(f"blend {model.blend} of {counted(len(model.heads), 'head')}: {name_a_few(model.heads)}")
    print(f"out of fold: log loss {loss:.4f}" + ("" if ranked is None else f", mean average precision {ranked:.3f}"))
    brought = [name for name in model.files if name.startswith(f"{NETWORKS}/")]
    if brought:
        print(
            f"brings {name_a_few([Path(name).name for name in brought])}, quantised, with the names (paths) of the "
            "clips that quantising was fitted to"
        )
    for source in model.sources:
        sampling = ", ".join(
            f"{name}={value}" for name, value in source["sampling"].items() if name in ("fps", "frames")
        )
        weights = source["weights_sha256"]
        shown = weights if weights.startswith("random") else f"{weights[:12]}…"
        precision = f", {source['precision']}" if "precision" in source else ""
        print(f"reads {source['features']} ({sampling}, {source['input_px']} px, weights {shown}{precision})")
