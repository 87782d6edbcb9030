"""A small network in an ONNX file."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WEIGHT = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
CLASS_TOKEN = np.arange(5, dtype=np.float32)


def write_onnx(
    path: Path, *, layout: str = "NCHW", side: int | str = "side", batch: int | str = "batch", reshape: int = 0
) -> Path:
    """Five weighted sums of each pixel's colours: as a map, as tokens after a class token, and averaged."""
    sides = {"N": batch, "C": 3, "H": side, "W": side}
    nodes = [] if layout == "NCHW" else [helper.make_node("Transpose", ["image"], ["turned"], perm=[0, 3, 1, 2])]
    nodes += [
        helper.make_node("Conv", ["image" if layout == "NCHW" else "turned", "weight"], ["map"]),
        helper.make_node("Reshape", ["map", "shape"], ["rows"]),
        helper.make_node("Transpose", ["rows"], ["patches"], perm=[0, 2, 1]),
        helper.make_node("ReduceMean", ["patches"], ["one"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["one", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "class"], ["first"]),
        helper.make_node("Concat", ["first", "patches"], ["tokens"], axis=1),
        helper.make_node("GlobalAveragePool", ["map"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["vector"]),
    ]
    constants = {
        "weight": WEIGHT[:, :, None, None],
        "shape": np.array([reshape, 5, -1], np.int64),
        "zero": np.zeros(1, np.float32),
        "class": CLASS_TOKEN[None, None],
    }
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [sides[axis] for axis in layout])],
        [
            helper.make_tensor_value_info("tokens", TensorProto.FLOAT, None),
            helper.make_tensor_value_info("vector", TensorProto.FLOAT, None),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path
