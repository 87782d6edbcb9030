"""Networks of timm, PyTorch's collection: exported once to an ONNX file, which is read and run from then on.

PyTorch and timm are needed for the export alone. The file and the YAML beside it, which says what its pixels are meant
to be and where it is tapped, may be copied to other machines.
"""

import difflib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from featurize.errors import BackboneError, WeightsError
from store.files import atomic_path, write_text
from store.models import models_folder

TIMM = "timm:"
_GREY = 255.0


@dataclass(frozen=True)
class _Cut:
    """Where a network is tapped.

    Attributes:
        depths: of its blocks or stages, as `forward_intermediates` counts them; none if it has no such thing.
        taps: names of the outputs, in order.
    """

    depths: tuple[int, ...]
    taps: tuple[str, ...]


def timm_path(name: str, input_px: int | None = None) -> Path:
    """Where the file of timm's network `name` is kept, for pictures of its usual size or of another."""
    usual = models_folder() / "timm" / f"{name}.onnx"
    if input_px is None or _side_of(usual) == input_px:
        return usual
    return usual.with_name(f"{name}@{input_px}.onnx")


def timm_file(name: str, *, input_px: int | None = None, offline: bool = False) -> Path:
    """The file of timm's network `name`, which is made unless it is there.

    Args:
        name: as timm knows it, `vit_small_patch14_dinov2.lvd142m`.
        input_px: side of its square input; its usual one if None.
        offline: whether to do without a download of its weights.

    Raises:
        BackboneError: timm has no such network, or it has no weights.
        WeightsError: the weights cannot be had; the message says what to do.
    """
    path = timm_path(name, input_px)
    if path.is_file():
        return path
    if offline:
        raise WeightsError(f"{TIMM}{name}: there is no {path}; {_remedy(name, input_px)}")
    return export_timm(name, input_px=input_px)


def export_timm(name: str, weights: Path | None = None, *, input_px: int | None = None) -> Path:
    """Make the file of timm's network `name` anew.

    Args:
        name: as timm knows it.
        weights: a checkpoint of that network (`.safetensors`, `.pth`); what timm downloads if None.
        input_px: side of its square input; its usual one if None.

    Raises:
        BackboneError: timm has no such network, it has no published weights, or cannot see pictures of that size.
        WeightsError: PyTorch or timm is not installed, or the weights cannot be had or do not fit.
    """
    if weights is not None and not weights.is_file():
        raise WeightsError(f"{weights}: there is no such weights file for {TIMM}{name}")
    timm, torch = _libraries(name)
    path = timm_path(name, input_px)
    network = _network(timm, torch, name, weights, input_px)
    config = timm.data.resolve_model_data_config(network)
    channels, height, width = config["input_size"]
    px = input_px or int(height)
    if channels != 3 or (input_px is None and height != width):
        raise BackboneError(f"{TIMM}{name} takes {channels} x {height} x {width}, expected a square picture in colour")
    cut = _cut_of(network)
    told: dict[str, Any] = {
        "mean": [_GREY * each for each in config["mean"]],
        "scale": [_GREY * each for each in config["std"]],
        "input_px": px,
        "taps": list(cut.taps),
        "prefix_tokens": int(getattr(network, "num_prefix_tokens", 0)),
    }
    write_text(_beside(path), yaml.safe_dump(told, sort_keys=False))
    _write(torch, network, cut, px, path, f"{TIMM}{name}")
    return path


def _beside(path: Path) -> Path:
    """The YAML that says what a file's pixels are meant to be; names of networks have full stops in them."""
    return path.with_name(path.name.removesuffix(".onnx") + ".yaml")


def _side_of(path: Path) -> int | None:
    """The side of the pictures that a file takes; None if there is no such file."""
    try:
        side = yaml.safe_load(_beside(path).read_text(encoding="utf-8"))["input_px"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return None
    return side if isinstance(side, int) and path.is_file() else None


def _network(timm: Any, torch: Any, name: str, weights: Path | None, input_px: int | None) -> Any:
    """The network with its weights, without its classifier.

    timm passes over weights that a file lacks and leaves them as they were drawn at random: so it is made twice, from
    two seeds, and what then differs was not in the file.
    """
    plain = name.partition(".")[0]
    if not timm.is_model(plain):
        near = difflib.get_close_matches(plain, timm.list_models(), n=3)
        raise BackboneError(f"{TIMM}{name}: timm {timm.__version__} has no such network{_like(near)}")
    size = {} if input_px is None or not _takes_size(timm, plain) else {"img_size": input_px}
    given = {} if weights is None else {"pretrained_cfg_overlay": {"file": str(weights)}}
    made = []
    try:
        with torch.random.fork_rng(devices=[]):
            for seed in (0, 1):
                torch.manual_seed(seed)
                made.append(timm.create_model(name, pretrained=True, num_classes=0, **given, **size).eval())
    except RuntimeError as error:
        raise WeightsError(
            f"{weights or TIMM + name}: not weights of timm's {name} ({_line(error)}); name another network or file"
        ) from error
    except Exception as error:  # a download fails in as many ways as its library has
        raise WeightsError(
            f"{TIMM}{name}: its weights cannot be had ({type(error).__name__}: {_line(error)}); "
            f"{_remedy(name, input_px)}"
        ) from error
    one, other = (network.state_dict() for network in made)
    drawn = [key for key in one if not torch.equal(one[key], other[key])]
    if drawn:
        raise WeightsError(
            f"{weights or TIMM + name}: not weights of timm's {name}, {len(drawn)} of {len(one)} tensors are missing "
            f"(the first is {drawn[0]}); name another network or file"
        )
    return made[0]


def _takes_size(timm: Any, plain: str) -> bool:
    """Whether a network is built for one size of picture, as transformers are."""
    config = timm.get_pretrained_cfg(plain)
    return bool(config is not None and config.fixed_input_size)


def _cut_of(network: Any) -> _Cut:
    """Two depths before the end, the end itself, and what a last convolution makes of it where there is one."""
    ends = ("features", "embedding") if hasattr(network, "conv_head") else ("features",)
    if not hasattr(network, "forward_intermediates"):
        return _Cut(depths=(), taps=ends)
    count = len(network.feature_info)
    # Blocks of a transformer are many and alike: at one and two thirds. Stages of other networks halve the picture.
    wanted = (count // 3 - 1, 2 * count // 3 - 1) if hasattr(network, "num_prefix_tokens") else (count - 3, count - 2)
    depths = tuple(sorted({each for each in wanted if each >= 0}))
    return _Cut(depths=depths, taps=(*(f"depth{each + 1}" for each in depths), *ends))


def _write(torch: Any, network: Any, cut: _Cut, px: int, path: Path, called: str) -> None:
    """The network as an ONNX file: pictures (1, 3, px, px), as `Preprocessing` makes them, to the taps."""

    class Tapped(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, pixels: Any) -> Any:
            if cut.depths:
                end, between = self.network.forward_intermediates(pixels, indices=list(cut.depths))
            else:
                end, between = self.network.forward_features(pixels), []
            last = [self.network.forward_head(end, pre_logits=True)] if "embedding" in cut.taps else []
            return (*between, end, *last)

    try:
        with torch.no_grad(), warnings.catch_warnings(), atomic_path(path) as part:
            warnings.simplefilter("ignore")  # tracing says of each size that it takes it for a constant, which it is
            torch.onnx.export(
                Tapped().eval(),
                (torch.zeros(1, 3, px, px),),
                str(part),
                input_names=["pixels"],
                output_names=list(cut.taps),
                dynamo=False,
            )
    except (RuntimeError, AssertionError, ValueError) as error:
        raise BackboneError(f"{called} cannot be exported for squares of {px} pixels ({_line(error)})") from error


def _libraries(name: str) -> tuple[Any, Any]:
    try:
        import timm
        import torch
    except ImportError as error:
        raise WeightsError(
            f"{TIMM}{name}: making its file takes PyTorch and timm, which are not here ({error}); {_remedy(name, None)}"
        ) from error
    return timm, torch


def _remedy(name: str, input_px: int | None) -> str:
    size = "" if input_px is None else f" --input-px {input_px}"
    path = timm_path(name, input_px)
    return (
        f"run `featurize weights {TIMM}{name}{size}` where there is a network (`pip install trapline[timm]`), or with "
        f"`--weights FILE`, timm's checkpoint; or copy {path.name} and {_beside(path).name} to {path.parent}"
    )


def _like(near: Sequence[str]) -> str:
    return f", expected something like {', '.join(near)}" if near else ""


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
