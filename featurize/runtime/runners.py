"""Makes extractors run: by TensorFlow's graphs or by OpenVINO, behind one call."""

import contextlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from featurize.backbones.openvino_library import import_openvino
from featurize.backbones.runner import FULL, DeviceName, Precision, Runner, RuntimeName
from featurize.errors import BackboneError, MachineError, SettingsError
from featurize.runtime.compiled import CompiledNetworks
from featurize.runtime.devices import forbid_tensor_float_32, has_gpu, placed_on, require_device
from featurize.runtime.precision import compile_settings

if TYPE_CHECKING:
    import keras


def choose_runtime(
    name: RuntimeName, precision: Precision = FULL, device: DeviceName = "auto"
) -> Literal["tensorflow", "openvino"]:
    """The runtime that `name` stands for here: `auto` is OpenVINO on a CPU where it is installed, else TensorFlow.

    GPUs and f16 are TensorFlow's; precisions other than these and f32 are OpenVINO's, on the CPU.

    Raises:
        SettingsError: OpenVINO was asked for and is not installed, or there is no GPU; or one of the three does not go
            with another.
    """
    require_device(device)
    if device == "gpu" and precision not in (FULL, "f16"):
        raise SettingsError(f"--precision {precision} is for the CPU; with --device gpu use f16, or f32")
    if device == "cpu" and precision == "f16":
        raise SettingsError("--precision f16 is for GPUs; leave --device cpu out, or use bf16 or int8")
    if precision == "f16" or device == "gpu":
        if name == "openvino":
            asked = "--device gpu" if device == "gpu" else "--precision f16"
            raise SettingsError(f"{asked} is run by TensorFlow; leave --runtime out")
        return "tensorflow"
    if precision != FULL:
        if name == "tensorflow":
            raise SettingsError(f"--precision {precision} is run by OpenVINO; leave --runtime out, or --precision")
        name = "openvino"
    installed = importlib.util.find_spec("openvino") is not None
    if name == "openvino" and not installed:
        raise SettingsError(
            "--runtime openvino: OpenVINO is not installed; run `pip install openvino` or use tensorflow"
        )
    if name != "auto":
        return name
    return "openvino" if installed and (device == "cpu" or not has_gpu()) else "tensorflow"


def runs_on_gpu(runtime: Literal["tensorflow", "openvino"], device: DeviceName) -> bool:
    """Whether a network goes to a GPU that is run by `runtime`, where `device` was asked for."""
    return runtime == "tensorflow" and device != "cpu" and has_gpu()


def make_tensorflow_runner(
    build: "Callable[[], keras.Model]", precision: Precision = FULL, device: DeviceName = "auto"
) -> Runner:
    """A function that computes features by TensorFlow, on a GPU if there is one and the CPU was not asked for.

    What is called f32 is that on a GPU too; float16 is computed only where f16 was asked for. The function raises
    MachineError where a GPU has no room for a batch.
    """
    import tensorflow as tf

    on_gpu = runs_on_gpu("tensorflow", device)
    if on_gpu:
        forbid_tensor_float_32()
    with placed_on(device), mixed_precision() if precision == "f16" else contextlib.nullcontext():
        extractor = build()
    run = _tensorflow_runner(extractor)

    def placed(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            with placed_on(device):
                return run(pixels)
        except tf.errors.ResourceExhaustedError as error:
            if not on_gpu:
                raise
            count, height, width = pixels.shape[:3]
            remedy = "use --device cpu" if precision == "f16" else "use --precision f16, or --device cpu"
            raise MachineError(
                f"the GPU has no room for {count} pictures of {height} x {width} px at once; end other programs that "
                f"use it, or {remedy}; what was committed is kept"
            ) from error

    return placed


@contextlib.contextmanager
def mixed_precision() -> Iterator[None]:
    """Within it, layers are built to compute in float16 and to keep their weights in float32."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def make_runner(extractor: "keras.Model", runtime: Literal["tensorflow", "openvino"]) -> Runner:
    """A function that computes features of full batches with `extractor`, compiled once per picture size."""
    if runtime == "tensorflow":
        return _tensorflow_runner(extractor)
    return _openvino_runner(lambda: convert(extractor), None, FULL)


def make_kept_runner(build: "Callable[[], keras.Model]", kept: CompiledNetworks, precision: Precision = FULL) -> Runner:
    """The same in OpenVINO of a network that is built only if nothing of it was kept."""
    core = import_openvino().Core()
    return _openvino_runner(lambda: kept.network(core, lambda: convert(build())), kept, precision)


def make_read_runner(read: Callable[[], Any], kept: CompiledNetworks, precision: Precision) -> Runner:
    """The same of a network that is OpenVINO's already, for pictures of any size that it takes."""
    return _openvino_runner(read, kept, precision)


def make_onnx_runner(read: Callable[[int], Any], kept: CompiledNetworks, precision: Precision = FULL) -> Runner:
    """The same of a network that OpenVINO reads itself, for pictures of one size.

    A file that allows no batches sees one picture after the other.

    Args:
        read: gives the network for a number of pictures; RuntimeError where the file does not allow as many.
        kept: what was compiled before.
        precision: what it computes in.
    """
    core, settings = import_openvino().Core(), compile_settings(precision)
    compiled: dict[tuple[int, ...], tuple[Any, int]] = {}

    def compile_for(shape: tuple[int, ...]) -> tuple[Any, int]:
        for batch in (shape[0], 1):
            sized = (batch, *shape[1:])
            found = kept.load(core, sized, settings)
            if found is not None:
                return found, batch
        try:
            model, batch = read(shape[0]), shape[0]
        except RuntimeError:
            model, batch = read(1), 1
        made = core.compile_model(model, "CPU", settings)
        kept.keep(core, (batch, *shape[1:]), made)
        return made, batch

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if pixels.shape not in compiled:
            compiled[pixels.shape] = compile_for(pixels.shape)
        network, batch = compiled[pixels.shape]
        parts = [np.array(network(pixels[row : row + batch])[0]) for row in range(0, len(pixels), batch)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    return run


def _tensorflow_runner(extractor: "keras.Model") -> Runner:
    import tensorflow as tf

    # No control flow depends on a tensor, so it is not looked for: networks of a thousand layers are traced sooner.
    graph = tf.function(
        lambda pixels: extractor(pixels, training=False), autograph=False, jit_compile=False, reduce_retracing=False
    )

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        features: NDArray[np.float32] = graph(tf.constant(pixels)).numpy()
        return features

    return run


def _openvino_runner(read: Callable[[], Any], kept: CompiledNetworks | None, precision: Precision) -> Runner:
    core, settings = import_openvino().Core(), compile_settings(precision)
    network = cache(read)
    if kept is None or not kept.is_known:
        network()
    compiled: dict[tuple[int, ...], Any] = {}

    def compile_for(shape: tuple[int, ...]) -> Any:
        found = None if kept is None else kept.load(core, shape, settings)
        if found is not None:
            return found
        sized = network().clone()
        sized.reshape(list(shape))
        made = core.compile_model(sized, "CPU", settings)
        if kept is not None:
            kept.keep(core, shape, made)
        return made

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if pixels.shape not in compiled:
            compiled[pixels.shape] = compile_for(pixels.shape)
        features: NDArray[np.float32] = np.array(compiled[pixels.shape](pixels)[0])
        return features

    return run


def convert(extractor: "keras.Model") -> Any:
    """A Keras model as one of OpenVINO's, for pictures of any size that it takes.

    Weights are inputs of TensorFlow's graph, and constants of the one that OpenVINO is shown: a graph that holds them
    as variables, as Keras exports it, is searched for each of its nodes (64 s instead of 6 for NASNet-Large, to the
    same bits), and of inputs each would be compared with every other.
    """
    import keras
    import tensorflow as tf

    variables = extractor.variables

    def features(pixels: Any, *values: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return extractor(pixels, training=False)

    wanted = [tf.TensorSpec(each.shape, each.dtype) for each in (extractor.input, *variables)]
    traced = tf.function(features, autograph=False).get_concrete_function(*wanted)
    weights = {tensor.op.name: each for tensor, each in zip(traced.inputs[1:], variables, strict=False)}
    try:
        model = import_openvino().convert_model(_graph_with_constants(traced.graph, weights))
    except (ImportError, AttributeError, TypeError):  # OpenVINO of another version reads graphs in another way
        model = import_openvino().convert_model(traced.graph)
    for parameter in model.get_parameters():  # the pixels alone, but of another version
        if (name := parameter.get_friendly_name().removesuffix(":0")) in weights:
            _fix(model, parameter, weights[name].numpy())
    return _only_features(model, extractor.output.shape[-1])


def _graph_with_constants(graph: Any, weights: "Mapping[str, keras.Variable]") -> Any:
    """A graph of TensorFlow's as OpenVINO reads it, operation by operation, with those inputs that are weights as
    constants; a weight is copied when it is read.

    What it is made of is not part of OpenVINO's documented interface.

    Raises:
        ImportError, AttributeError, TypeError: this version of OpenVINO has none of it, or another form.
    """
    from openvino import OVAny, Tensor
    from openvino.frontend.tensorflow.graph_iterator import GraphIteratorTFGraph
    from openvino.frontend.tensorflow.node_decoder import TFGraphNodeDecoder

    class Weight(TFGraphNodeDecoder):  # type: ignore[misc]
        def get_op_type(self) -> str:
            return "Const"

        def get_attribute(self, name: str) -> Any:
            if name != "value":
                return super().get_attribute(name)
            return OVAny(Tensor(weights[self.get_op_name()].numpy()))

    operations = GraphIteratorTFGraph(graph, share_weights=True)
    operations.m_decoders = [
        Weight(each.m_operation, share_weights=True, inner_graph=False) if each.get_op_name() in weights else each
        for each in operations.m_decoders
    ]
    return operations


def _fix(model: Any, parameter: Any, value: NDArray[Any]) -> None:
    """Make an input of a model of OpenVINO's a constant."""
    from openvino import opset13

    parameter.output(0).replace(opset13.constant(value, shared_memory=True).output(0))
    model.remove_parameter(parameter)


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
    return import_openvino().Model(found, model.get_parameters(), "features")


def _is_matrix(result: Any, dim: int) -> bool:
    shape = result.get_output_partial_shape(0)
    return bool(shape.rank.get_length() == 2 and shape[1] == dim)
