"""What a machine is as far as features depend on it, to be compared with another before they work together."""

import hashlib
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata, resources
from pathlib import Path

from featurize.errors import FeaturizeError
from featurize.pipeline.clips.clip_worker import WorkOrder, require_weights

_LIBRARIES = ("numpy", "opencv-python-headless", "imageio-ffmpeg", "openvino", "tensorflow", "keras")
# Of the flags in /proc/cpuinfo, those by which libraries choose how they compute.
_INSTRUCTIONS = (
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "asimddp",
    "bf16",
    "i8mm",
    "sve",
    "sve2",
)


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """What a machine is.

    Attributes:
        versions: (what, version) of Trapline, its code, and the libraries that decide about bits.
        instructions: what its processor can do.
        lacking: why it cannot run the networks that are asked for, one sentence; "" if it can.
        readable: of each clip that was to be tried whether it can be read.
        token: whether whoever asks it for work needs a token.
        reports: whether Ray sends usage statistics from it.
    """

    versions: tuple[tuple[str, str], ...]
    instructions: str
    lacking: str
    readable: tuple[bool, ...]
    token: bool
    reports: bool


def describe_node(order: WorkOrder, clips: Sequence[Path] = ()) -> NodeFacts:
    """What the machine is on which this is called, seen from an order and some of its clips."""
    lacking = ""
    try:
        require_weights(order.sources)
    except FeaturizeError as error:
        lacking = str(error)
    return NodeFacts(
        versions=(
            ("Trapline", metadata.version("trapline")),
            ("Trapline's code", _code_digest()),
            *((name, metadata.version(name)) for name in _LIBRARIES),
        ),
        instructions=_instructions(),
        lacking=lacking,
        readable=tuple(map(_is_readable, clips)),
        token=os.environ.get("RAY_AUTH_MODE", "disabled").lower() != "disabled",
        reports=os.environ.get("RAY_USAGE_STATS_ENABLED") != "0",
    )


def difference(here: NodeFacts, there: NodeFacts) -> str:
    """Why two machines must not work on one store, one clause; "" if they may."""
    if there.lacking:
        return there.lacking
    for (what, own), (_, other) in zip(here.versions, there.versions, strict=True):
        if own != other:
            return f"it has {what} {other}, and this machine {own}"
    return ""


@cache
def _code_digest() -> str:
    """The digest of the code of featurize and store, since one version may be several states of a checkout."""
    digest = hashlib.sha256()
    for package in ("featurize", "store"):
        root = Path(str(resources.files(package)))
        for file in sorted(root.rglob("*.py")):
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _instructions() -> str:
    """The kind of the processor, and which instructions it has as far as the system tells."""
    found: set[str] = set()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, words = line.partition(":")
            if name.strip() in ("flags", "Features"):
                found = set(words.split())
                break
    return " ".join([platform.machine(), *(name for name in _INSTRUCTIONS if name in found)])


def _is_readable(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError:
        return False
    return True
