"""How fast networks run on this machine, at each precision that it has."""

import importlib.util
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from featurize.backbones.openvino_library import import_openvino
from featurize.backbones.registry import BACKBONES
from featurize.backbones.resolve import resolve_backbones
from featurize.backbones.runner import BATCH_FRAMES, Precision
from featurize.backbones.spec import Backbone
from featurize.backbones.weights import RANDOM_WEIGHTS, locate_weights, weights_available
from featurize.pipeline.networks import full_network
from featurize.pipeline.source import make_source
from featurize.runtime.precision import compile_settings, precisions_here
from featurize.runtime.quantised import LIBRARY, quantise
from store.console import print_json, stderr_console, stdout_console

SECONDS = 3.0
_ROUNDS = 3
# Where layers round does not change how fast they are: a handful of pictures will do.
_PICTURES = 4


def print_speeds(words: Sequence[str], *, offline: bool, as_json: bool) -> None:
    """Print frames a second of the networks that `words` name, of all whose weights are here if there are none."""
    rows = []
    for row in speed_rows(words, offline=offline):
        rows.append(row)
        if not row["pretrained"]:
            stderr_console().print(f"{row['name']}: its weights are not here; measured untrained, which is as fast")
    if importlib.util.find_spec(LIBRARY) is None:
        stderr_console().print("int8 is not measured: run `pip install 'trapline[int8]'`")
    print_json(rows) if as_json else _print_table(rows)


def speed_rows(words: Sequence[str], *, offline: bool, seconds: float = SECONDS) -> Iterator[dict[str, Any]]:
    """A row a network: frames a second by precision, of the bare network on full batches of its own size.

    Args:
        words: as `--backbone` takes them; all networks whose weights are here if there are none.
        offline: whether to do without a download of models.
        seconds: how long each precision is measured.
    """
    if words:
        networks = [
            each for each in resolve_backbones(words, None, offline=offline) if each.kind in ("network", "onnx")
        ]
    else:
        networks = [each for each in BACKBONES.values() if each.kind == "network" and weights_available(each)]
    for backbone in networks:
        pretrained = weights_available(backbone)
        speeds = _speeds(backbone, pretrained, seconds)
        yield {
            "name": backbone.name,
            "input_px": backbone.input_px,
            "pretrained": pretrained,
            "frames_per_s": {precision: round(speed, 1) for precision, speed in speeds.items()},
        }


def _speeds(backbone: Backbone, pretrained: bool, seconds: float) -> dict[Precision, float]:
    """Frames a second by precision; these are measured in turns, so that a machine whose speed drifts favours none."""
    weights = locate_weights(backbone, offline=True) if pretrained else RANDOM_WEIGHTS
    network = full_network(make_source(backbone, weights))
    batch = network.input(0).partial_shape[0]
    frames = BATCH_FRAMES if batch.is_dynamic else batch.get_length()
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (frames, backbone.input_px, backbone.input_px, 3), np.uint8)
    compiled: dict[Precision, Callable[[Any], Any]] = {}
    for precision in precisions_here():
        if precision == "int8" and importlib.util.find_spec(LIBRARY) is None:
            continue
        size = 1 if batch.is_dynamic else frames
        parts = [pixels[start : start + size] for start in range(0, max(size, _PICTURES), size)]
        made = quantise(network, parts) if precision == "int8" else network.clone()
        made.reshape(list(pixels.shape))
        compiled[precision] = import_openvino().Core().compile_model(made, "CPU", compile_settings(precision))
    return _in_turns(compiled, pixels, seconds)


def _in_turns(
    compiled: Mapping[Precision, Callable[[Any], Any]], pixels: Any, seconds: float
) -> dict[Precision, float]:
    spent = dict.fromkeys(compiled, 0.0)
    runs = dict.fromkeys(compiled, 0)
    for run in compiled.values():
        run(pixels)
    for _ in range(_ROUNDS):
        for precision, run in compiled.items():
            started = time.perf_counter()
            while (passed := time.perf_counter() - started) < seconds / _ROUNDS:
                run(pixels)
                runs[precision] += 1
            spent[precision] += passed
    return {precision: runs[precision] * len(pixels) / spent[precision] for precision in compiled}


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    from rich.table import Table

    precisions = precisions_here()
    table = Table(box=None, pad_edge=False)
    for heading in ("frames/s", "px", *precisions):
        table.add_column(heading, no_wrap=True)
    for row in rows:
        speeds = row["frames_per_s"]
        told = (f"{speeds[each]:.1f}" if each in speeds else "-" for each in precisions)
        table.add_row(row["name"], str(row["input_px"]), *told)
    stdout_console().print(table)
