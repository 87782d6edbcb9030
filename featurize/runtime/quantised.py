"""Quantised networks: 8-bit integers in place of most of a network's numbers, as a file that is kept.

Where to round is found out by showing the network pictures, so that the file, and not only the weights, decides which
numbers a network gives: it is made once, never changed, and known by the sha256 of its bytes.
"""

import contextlib
import importlib.util
import io
import json
import logging
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurize.backbones.openvino_library import import_openvino
from featurize.errors import SettingsError, WeightsError
from store.digest import file_sha256

LIBRARY = "nncf"
_DATE = (1980, 1, 1, 0, 0, 0)  # the same bytes whenever it is made
_NETWORK, _NUMBERS, _CALIBRATION = "network.xml", "network.bin", "calibration.json"
_OF_TRANSFORMERS = frozenset({"Softmax", "ScaledDotProductAttention"})


def require_quantiser() -> None:
    """Raise SettingsError unless what quantises networks is installed."""
    if importlib.util.find_spec(LIBRARY) is None:
        raise SettingsError(
            "--precision int8 needs NNCF to quantise a network once; run `pip install 'trapline[int8]'`, or use "
            "--precision bf16 or f32"
        )


def quantise(network: Any, pictures: Sequence[NDArray[np.uint8]]) -> Any:
    """A network with most of its layers in 8-bit integers, which were fitted to pictures.

    Args:
        network: one of OpenVINO's, of pictures (B, H, W, 3) uint8.
        pictures: (B, H, W, 3) each, of any sizes that it takes.

    Raises:
        SettingsError: NNCF is not installed.
    """
    require_quantiser()
    named = _plainly_named(_folded(network))
    with _quiet():
        import nncf

        attends = any(operation.get_type_name() in _OF_TRANSFORMERS for operation in named.get_ops())
        return nncf.quantize(
            named,
            nncf.Dataset(pictures),
            subset_size=len(pictures),
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER if attends else None,
        )


def write_quantised(path: Path, network: Any, calibration: Mapping[str, Any]) -> None:
    """Write a quantised network into one file, with what it was fitted to; the same network gives the same bytes."""
    openvino = import_openvino()
    # What is made anew does not tell by which versions, and from where, it was converted.
    bare = _plainly_named(openvino.Model(network.get_results(), network.get_parameters(), "features"))
    with tempfile.TemporaryDirectory(prefix="trapline-") as folder:
        content, numbers = Path(folder) / _NETWORK, Path(folder) / _NUMBERS
        openvino.serialize(bare, content, numbers)
        files = {_NETWORK: content.read_bytes(), _NUMBERS: numbers.read_bytes()}
    files[_CALIBRATION] = json.dumps(calibration, indent=2, ensure_ascii=False).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), data)


def read_quantised(path: Path, sha256: str) -> Any:
    """The network that `write_quantised` wrote, as OpenVINO's, for pictures of any size that it takes.

    Raises:
        WeightsError: the file cannot be read, or is not the one of that digest.
    """
    try:
        if file_sha256(path) != sha256:
            raise WeightsError(
                f"{path}: is damaged, its sha256 is not {sha256[:12]}…; put a copy of it back, or remove the file of "
                "that order (.json) beside it to have the network quantised anew, for features of their own"
            )
        with zipfile.ZipFile(path) as archive:
            content, numbers = archive.read(_NETWORK), archive.read(_NUMBERS)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error}); restore access") from error
    return import_openvino().Core().read_model(content, numbers)


def _folded(network: Any) -> Any:
    """A copy in which what can be computed beforehand is: weights that are reached by way of a transposition or a
    normalisation are not seen as weights, and such layers run no faster for being quantised.
    """
    # The function that OpenVINO's own conversion calls; it is in no public module.
    from openvino._offline_transformations import apply_moc_transformations

    copy = network.clone()
    apply_moc_transformations(copy, cf=True)
    return copy


def _plainly_named(network: Any) -> Any:
    """A copy whose operations are named by their order, and not after those that a process made before."""
    copy = network.clone()
    for place, operation in enumerate(copy.get_ordered_ops()):
        operation.set_friendly_name(f"{operation.get_type_name()}_{place}")
        told = operation.get_rt_info()
        for name in [name for name in told if name.startswith("fused_names")]:
            del told[name]
        for port, output in enumerate(operation.outputs()):
            output.set_names({f"{place}:{port}"})
    return copy


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Within it NNCF says nothing on stdout, and its warnings are those of a library."""
    logger = logging.getLogger("nncf")
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        yield
