"""What of the things that Trapline needs, or is quicker with, this machine has."""

import importlib.metadata
import importlib.util
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.table import Table

from store.console import human_bytes, native_chatter, stdout_console

_OLDEST_PYTHON = (3, 11)
_DISK_BYTES = 64 * 1024 * 1024
_DECODERS = ("h264", "hevc", "mpeg4", "mjpeg", "wmv3", "vp9", "av1")
_EXTRAS = {  # what each extra of the package installs, and what it is for
    "gbm": (("lightgbm", "xgboost"), "two blenders of boosted trees"),
    "int8": (("nncf",), "`featurize --precision int8`"),
    "parquet": (("pyarrow",), "Parquet files"),
    "ray": (("ray",), "`--ray`, several machines as one"),
    "remote": (("aiohttp", "fsspec", "gcsfs", "paramiko", "s3fs"), "clips behind https://, s3://, gs:// and sftp://"),
    "review": (("starlette", "uvicorn"), "`heads review`"),
    "timm": (("safetensors",), "timm's Inception-v4 weights"),
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        name: of the thing.
        found: what is there, in words.
        is_wrong: whether Trapline cannot work with that.
        remedy: what to do about it; "" where nothing is to be done.
    """

    name: str
    found: str
    is_wrong: bool = False
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """It as plain values."""
        return asdict(self)


def examine(folder: Path) -> list[Finding]:
    """Look for everything, on the disk that `folder` is on; what is missing is a finding, never an exception."""
    checks: tuple[Callable[[], list[Finding]], ...] = (
        _python, _processor, _ffmpeg, lambda: _disk(folder), _openvino, _tensorflow, _weights, _extras,
    )  # fmt: skip
    return [finding for check in checks for finding in check()]


def print_findings(found: list[Finding]) -> None:
    """Print a page of findings to stdout, what is wrong with what to do about it."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("", overflow="fold")
    for each in found:
        state = "WRONG" if each.is_wrong else "note" if each.remedy else "ok"
        table.add_row(state, each.name, each.found + (f": {each.remedy}" if each.remedy else ""))
    console = stdout_console()
    console.print(table)
    wrong = sum(each.is_wrong for each in found)
    console.print("nothing is wrong" if not wrong else f"{wrong} of these keep Trapline from working")


def _python() -> list[Finding]:
    too_old = sys.version_info < _OLDEST_PYTHON
    wanted = ".".join(map(str, _OLDEST_PYTHON))
    version = importlib.metadata.version("trapline")
    return [
        Finding(
            name="Python",
            found=f"{platform.python_version()} on {platform.system()} {platform.machine()}, Trapline {version}",
            is_wrong=too_old,
            remedy=f"install Python {wanted} or newer" if too_old else "",
        )
    ]


def _processor() -> list[Finding]:
    memory = psutil.virtual_memory()
    told = f"{os.cpu_count()} cores, {human_bytes(memory.total)} of memory, {human_bytes(memory.available)} of it free"
    return [Finding(name="processor", found=told)]


def _ffmpeg() -> list[Finding]:
    import imageio_ffmpeg

    try:
        program = imageio_ffmpeg.get_ffmpeg_exe()
        told = [
            subprocess.run([program, "-hide_banner", flag], capture_output=True, text=True, check=True).stdout
            for flag in ("-version", "-decoders")
        ]
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        return [
            Finding(
                name="ffmpeg",
                found=f"cannot be run ({error})",
                is_wrong=True,
                remedy="install imageio-ffmpeg again, or name another one by the variable IMAGEIO_FFMPEG_EXE",
            )
        ]
    version = re.search(r"version (\S+)", told[0])
    lacking = [name for name in _DECODERS if not re.search(rf"^ V\S* (?:\S*_)?{name}\S* ", told[1], re.MULTILINE)]
    return [
        Finding(
            name="ffmpeg",
            found=f"{version[1] if version else 'of unknown version'}, {program}",
            remedy=f"it cannot decode {', '.join(lacking)}" if lacking else "",
        )
    ]


def _disk(folder: Path) -> list[Finding]:
    """How fast the disk takes a file and forgets nothing of it."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix="trapline-") as file:
            block, started = os.urandom(1024 * 1024), time.monotonic()
            for _ in range(_DISK_BYTES // len(block)):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
            speed = _DISK_BYTES / (time.monotonic() - started)
    except OSError as error:
        return [
            Finding(
                name="disk",
                found=f"{folder.resolve()} cannot be written ({error.strerror})",
                is_wrong=True,
                remedy="name a folder that can by --folder",
            )
        ]
    return [Finding(name="disk", found=f"{human_bytes(speed)}/s written at {folder.resolve()}")]


def _openvino() -> list[Finding]:
    try:
        import openvino

        core = openvino.Core()
        found = [
            f"{name} ({core.get_property(name, 'FULL_DEVICE_NAME')}; "
            f"{', '.join(sorted(core.get_property(name, 'OPTIMIZATION_CAPABILITIES')))})"
            for name in core.available_devices
        ]
    except (ImportError, RuntimeError) as error:
        return [
            Finding(
                name="OpenVINO", found=f"cannot be used ({error})", remedy="networks run in TensorFlow, which is slower"
            )
        ]
    return [Finding(name="OpenVINO", found=f"{openvino.__version__.split('-')[0]}, {'; '.join(found)}")]


def _tensorflow() -> list[Finding]:
    try:
        with native_chatter(shown=False):
            import keras
            import tensorflow as tf

            gpus = tf.config.list_physical_devices("GPU")
    except ImportError as error:
        return [
            Finding(
                name="TensorFlow",
                found=f"cannot be imported ({error})",
                is_wrong=True,
                remedy="install Trapline again; heads are trained with it",
            )
        ]
    told = f"{len(gpus)} GPU" if gpus else "no GPU, which it does not need"
    return [Finding(name="TensorFlow", found=f"{tf.__version__}, Keras {keras.__version__}, {told}")]


def _weights() -> list[Finding]:
    from featurize.backbones.registry import BACKBONES
    from featurize.backbones.weights import weights_available

    here = [name for name, backbone in BACKBONES.items() if weights_available(backbone)]
    others = len(BACKBONES) - len(here)
    told = f"{', '.join(here)} are here; {others} others are fetched when they are first used"
    return [Finding(name="weights", found=told)]


def _extras() -> list[Finding]:
    found = []
    for name, (modules, purpose) in _EXTRAS.items():
        is_here = all(importlib.util.find_spec(module) for module in modules)
        found.append(
            Finding(
                name=f"extra {name}",
                found=f"{'here' if is_here else 'not here'} ({purpose})",
                remedy="" if is_here else f"pip install 'trapline[{name}]' if you want it",
            )
        )
    return found
