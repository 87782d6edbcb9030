"""Makes extractors run: by TensorFlow's graphs or by OpenVINO, behind one call."""

import contextlib
import importlib.util
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from featurize.backbones.runner import Runner, RuntimeName
from featurize.errors import BackboneError, SettingsError


def choose_runtime(name: RuntimeName) -> Literal["tensorflow", "openvino"]:
    """The runtime that `name` stands for here: `auto` is OpenVINO on a CPU where it is installed, else TensorFlow.

    Raises:
        SettingsError: OpenVINO was asked for and is not installed.
    """
    installed = importlib.util.find_spec("openvino") is not None
    if name == "openvino" and not installed:
        raise SettingsError(
            "--runtime openvino: OpenVINO is not installed; run `pip install openvino` or use tensorflow"
        )
    if name != "auto":
        return name
    return "openvino" if installed and not _has_gpu() else "tensorflow"


def _has_gpu() -> bool:
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


@contextlib.contextmanager
def precision_for(runtime: Literal["tensorflow", "openvino"]) -> Iterator[None]:
    """Within it, networks are built for mixed precision if TensorFlow is going to run them on a GPU."""
    if runtime == "tensorflow" and _has_gpu():
        with mixed_precision():
            yield
    else:
        yield


@contextlib.contextmanager
def mixed_precision() -> Iterator[None]:
    """Within it, layers are built to compute in float16 and to keep their weights in float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def make_runner(extractor: keras.Model, runtime: Literal["tensorflow", "openvino"]) -> Runner:
    """A function that computes features of full batches with `extractor`, compiled once per picture size."""
    return _openvino_runner(extractor) if runtime == "openvino" else _tensorflow_runner(extractor)


def _tensorflow_runner(extractor: keras.Model) -> Runner:
    import tensorflow as tf

    # No control flow depends on a tensor, so it is not looked for: networks of a thousand layers are traced sooner.
    graph = tf.function(
        lambda pixels: extractor(pixels, training=False), autograph=False, jit_compile=False, reduce_retracing=False
    )

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        features: NDArray[np.float32] = graph(tf.constant(pixels)).numpy()
        return features

    return run


def _import_openvino() -> Any:
    """OpenVINO without its telemetry, which reports to a server, also offline, and leaves files in the home folder.

    It falls back on an empty stand-in where that package cannot be imported, so importing it is barred.
    """
    # None is how an import is barred.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def _openvino_runner(extractor: keras.Model) -> Runner:
    openvino = _import_openvino()
    core = openvino.Core()
    with tempfile.TemporaryDirectory(prefix="trapline-") as folder:
        path = Path(folder) / "extractor.xml"
        extractor.export(str(path), format="openvino", verbose=False)
        # Read into memory, so that nothing refers to the folder when it goes.
        model = core.read_model(path.read_bytes(), path.with_suffix(".bin").read_bytes())
    model = _only_features(model, extractor.output.shape[-1])
    compiled: dict[tuple[int, ...], Any] = {}

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if pixels.shape not in compiled:
            sized = model.clone()
            sized.reshape(list(pixels.shape))
            compiled[pixels.shape] = core.compile_model(sized, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        features: NDArray[np.float32] = np.array(compiled[pixels.shape](pixels)[0])
        return features

    return run


def _only_features(model: Any, dim: int) -> Any:
    """`model` with its features (B, dim) as the only output.

    Activations with a gradient of their own (swish) leave loose ends in TensorFlow's graph, which the conversion takes
    for outputs.
    """
    found = [result for result in model.get_results() if _is_matrix(result, dim)]
    if len(found) != 1:
        raise BackboneError(
            f"OpenVINO finds {len(found)} outputs of {dim} columns, expected 1; use --runtime tensorflow"
        )
    return _import_openvino().Model(found, model.get_parameters(), "features")


def _is_matrix(result: Any, dim: int) -> bool:
    shape = result.get_output_partial_shape(0)
    return bool(shape.rank.get_length() == 2 and shape[1] == dim)
