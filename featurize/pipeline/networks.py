"""From rows of tables to what runs: the networks of sources, and the detector that views ask for."""

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurize.backbones.detectors import DETECTOR_STRIDES, find_detector
from featurize.backbones.resolve import is_own
from featurize.backbones.runner import BATCH_FRAMES, GPU_BATCH_FRAMES, DeviceName, Runner, RuntimeName
from featurize.backbones.spec import resolve
from featurize.backbones.weights import locate_weights
from featurize.detection.boxes import boxes_in, letterboxed
from featurize.detection.over_time import Detect
from featurize.errors import SettingsError
from featurize.pipeline.source import FeatureSource
from featurize.views.registry import find_view
from featurize.views.resize import SQUARE_RULES, Canvas
from store.console import native_chatter


def require_settings(source: FeatureSource, runtime: RuntimeName, device: DeviceName = "auto") -> None:
    """Raise SettingsError unless this machine has what a source, and who asks for it, want to run it with."""
    if not source.backbone.is_network:
        return
    from featurize.runtime.precision import require_precision
    from featurize.runtime.runners import choose_runtime

    name, is_onnx = source.backbone.name, source.backbone.kind == "onnx"
    if is_onnx and runtime == "tensorflow":
        raise SettingsError(f"{name}: ONNX files are run by OpenVINO; leave --runtime out")
    if is_onnx and (device == "gpu" or source.precision == "f16"):
        raise SettingsError(
            f"{name}: ONNX files are run by OpenVINO, on the CPU; leave --device gpu and --precision f16 out"
        )
    if source.precision == "f16" and is_own(name):
        raise SettingsError(f"{name}: computes in what it was saved with; leave --precision f16 out")
    require_precision(source.precision)
    choose_runtime("openvino" if is_onnx else runtime, source.precision, device)


def batch_frames_of(source: FeatureSource, runtime: RuntimeName, device: DeviceName = "auto") -> int:
    """How many pictures a source's network sees at once: more on a GPU."""
    if source.backbone.kind != "network":
        return BATCH_FRAMES
    from featurize.runtime.runners import choose_runtime, runs_on_gpu

    chosen = choose_runtime(runtime, source.precision, device)
    return GPU_BATCH_FRAMES if runs_on_gpu(chosen, device) else BATCH_FRAMES


def runner_of(source: FeatureSource, runtime: RuntimeName, device: DeviceName = "auto") -> Runner:
    """The network of a source, ready to run. TensorFlow is imported only where a network must be built.

    Raises:
        SettingsError: the runtime or the processor does not have what the source asks for.
    """
    if not source.backbone.is_network:
        runner: Runner = resolve(source.backbone)(source.backbone)
        return runner
    from featurize.runtime.compiled import CompiledNetworks
    from featurize.runtime.runners import (
        choose_runtime,
        make_kept_runner,
        make_onnx_runner,
        make_read_runner,
        make_tensorflow_runner,
    )

    require_settings(source, runtime, device)
    kept = CompiledNetworks(
        source.backbone,
        source.weights,
        source.canvas.px,
        precision=source.precision,
        quantised=source.quantised.sha256 if source.quantised else "",
    )
    if source.backbone.kind == "onnx":
        return make_onnx_runner(lambda batch: _sized_network(source, batch), kept, source.precision)
    if source.quantised is not None:
        return make_read_runner(lambda: _read_quantised(source), kept, source.precision)
    if choose_runtime(runtime, source.precision, device) == "openvino":
        return make_kept_runner(lambda: _build(source), kept, source.precision)
    return make_tensorflow_runner(lambda: _build(source), source.precision, device)


def full_network(source: FeatureSource) -> Any:
    """The network of a source in f32, as OpenVINO's: what is quantised."""
    if source.backbone.kind == "onnx":
        try:
            return _sized_onnx(source, BATCH_FRAMES)
        except RuntimeError:
            return _sized_onnx(source, 1)
    from featurize.runtime.runners import convert

    return convert(_build(source))


def require_detector(views: Iterable[str]) -> None:
    """Raise WeightsError unless the weights of the detector that any of `views` asks are on this machine."""
    for name in _detectors_of(views):
        locate_weights(find_detector(name))


def detector_of(views: Iterable[str], runtime: RuntimeName) -> Detect | None:
    """The detector that `views` ask about frames, ready to run from any thread; None if none does.

    Frames are shown to it one by one, so that what it finds in one does not depend on which others come with it.

    Raises:
        WeightsError: its weights are not on this machine.
        SettingsError: the views ask for different detectors.
    """
    names = _detectors_of(views)
    if not names:
        return None
    if len(names) > 1:
        raise SettingsError(f"views ask for several detectors, {', '.join(names)}; featurize them one after the other")
    row = find_detector(names[0])
    canvas = Canvas(px=row.input_px, rule=SQUARE_RULES[0])
    run = runner_of(FeatureSource(backbone=row, canvas=canvas, weights=locate_weights(row)), runtime)
    lock = threading.Lock()

    def detect(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        square = letterboxed(frame, row.input_px)[None]
        with lock:
            raw = run(square)[0]
        return boxes_in(raw, DETECTOR_STRIDES, row.input_px, frame.shape[1], frame.shape[0])

    return detect


def _detectors_of(views: Iterable[str]) -> list[str]:
    """The detectors that any of `views` asks, each once."""
    return [name for name in dict.fromkeys(find_view(view).needs_detector for view in views) if name]


def _build(source: FeatureSource) -> Any:
    with native_chatter(shown=False):
        from featurize.runtime.extractor import build_extractor

    return build_extractor(source.backbone, source.weights, source.canvas.px)


def _sized_network(source: FeatureSource, batch: int) -> Any:
    """The network of an ONNX file for a number of pictures; RuntimeError where it does not allow as many."""
    if source.quantised is None:
        return _sized_onnx(source, batch)
    network = _read_quantised(source)
    if network.input(0).shape[0] != batch:
        raise RuntimeError(f"{source.backbone.name} was quantised for another number of pictures than {batch}")
    return network


def _sized_onnx(source: FeatureSource, batch: int) -> Any:
    return resolve(source.backbone)(source.backbone, source.weights.path, source.canvas.px, batch)


def _read_quantised(source: FeatureSource) -> Any:
    from featurize.runtime.quantised import read_quantised

    assert source.quantised is not None
    return read_quantised(source.quantised.path or Path(), source.quantised.sha256)
