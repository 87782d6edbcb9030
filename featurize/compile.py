"""Makes extractors run: by TensorFlow's graphs or by OpenVINO, behind one call."""

import importlib.util
import tempfile
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from featurize.errors import SettingsError
from featurize.runtime import Runner, RuntimeName


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


def make_runner(extractor: keras.Model, runtime: Literal["tensorflow", "openvino"]) -> Runner:
    """A function that computes features of full batches with `extractor`, compiled once per picture size."""
    return _openvino_runner(extractor) if runtime == "openvino" else _tensorflow_runner(extractor)


def _tensorflow_runner(extractor: keras.Model) -> Runner:
    import tensorflow as tf

    graph = tf.function(lambda pixels: extractor(pixels, training=False), jit_compile=False, reduce_retracing=False)

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        features: NDArray[np.float32] = graph(tf.constant(pixels)).numpy()
        return features

    return run


def _openvino_runner(extractor: keras.Model) -> Runner:
    import openvino

    core = openvino.Core()
    with tempfile.TemporaryDirectory(prefix="trapline-") as folder:
        path = Path(folder) / "extractor.xml"
        extractor.export(str(path), format="openvino", verbose=False)
        # Read into memory, so that nothing refers to the folder when it goes.
        model = core.read_model(path.read_bytes(), path.with_suffix(".bin").read_bytes())
    compiled: dict[tuple[int, ...], Any] = {}

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if pixels.shape not in compiled:
            sized = model.clone()
            sized.reshape(list(pixels.shape))
            compiled[pixels.shape] = core.compile_model(sized, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        features: NDArray[np.float32] = np.array(compiled[pixels.shape](pixels)[0])
        return features

    return run
