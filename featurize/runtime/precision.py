"""What precisions the processor here computes in, and how OpenVINO is told."""

import importlib.util

from featurize.backbones.openvino_library import import_openvino
from featurize.backbones.runner import Precision
from featurize.errors import SettingsError
from featurize.runtime.devices import has_gpu
from featurize.runtime.threads import thread_settings

# Of processors; f16 is what GPUs are run in.
_CAPABILITIES: dict[Precision, str] = {"f32": "FP32", "bf16": "BF16", "int8": "INT8"}


def precisions_here() -> tuple[Precision, ...]:
    """The precisions that the processor of this machine has instructions for; f32 without OpenVINO."""
    if importlib.util.find_spec("openvino") is None:
        return ("f32",)
    capabilities = import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return tuple(precision for precision, name in _CAPABILITIES.items() if name in capabilities)


def require_precision(precision: Precision) -> None:
    """Raise SettingsError unless networks can run here in a precision."""
    if precision == "f32":
        return
    if precision == "f16":
        if not has_gpu():
            raise SettingsError("--precision f16 is for GPUs, and TensorFlow sees none here; use bf16, int8 or f32")
        return
    if importlib.util.find_spec("openvino") is None:
        raise SettingsError(f"--precision {precision} needs OpenVINO; run `pip install openvino` or leave it out")
    here = precisions_here()
    if precision not in here:
        raise SettingsError(
            f"--precision {precision}: the processor of this machine does not have it, it has {', '.join(here)}; "
            "use one of these"
        )


def compile_settings(precision: Precision) -> dict[str, str]:
    """What OpenVINO is told when it compiles a network for a precision.

    It is always told, since it takes bf16 by itself on processors that are faster in it. What a quantised network does
    not do in integers it does in f32.
    """
    return {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32", **thread_settings()}
