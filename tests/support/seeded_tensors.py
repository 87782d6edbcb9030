"""Made-up weights that anyone can make again from their names and shapes alone: no file has to be kept."""

import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


def seeded_tensors(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.float32]]:
    """A tensor of every shape, torch's layout, of a size that keeps activations near one through many layers."""
    return {name: _tensor(name, shape) for name, shape in shapes.items()}


def _tensor(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if len(shape) > 1:
        fan_in = int(np.prod(shape[1:]))
        return (rng.standard_normal(shape, np.float32) * np.sqrt(2 / fan_in)).astype(np.float32)
    if name.endswith(("running_var", "bn.weight")):
        return rng.uniform(0.8, 1.2, shape).astype(np.float32)
    return rng.uniform(-0.1, 0.1, shape).astype(np.float32)
