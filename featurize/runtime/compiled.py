"""Networks, kept on the disk as converted and as compiled: the next start takes neither TensorFlow nor a compiler.

What is kept is a cache: it can be deleted at any time, and whatever is wrong with it, the network is built again. A
file is used only if it is whole (its first line is the sha256 of the rest) and was made of the same weights, taps, size
and code, by the same version of OpenVINO for the same processor: such a file gives the same bits as building anew.
"""

import contextlib
import hashlib
import importlib.util
import io
import os
import secrets
import tempfile
from collections.abc import Callable
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from featurize.backbones.openvino_library import import_openvino
from featurize.backbones.runner import FULL, Precision
from featurize.backbones.spec import Backbone
from featurize.backbones.weights import Weights
from featurize.errors import SettingsError
from store.digest import settings_digest
from store.files import atomic_path, is_temporary, remove_abandoned

FOLDER_VARIABLE = "TRAPLINE_CACHE"
LIMIT_VARIABLE = "TRAPLINE_CACHE_GB"
_USUAL_GB = 4.0
_CONVERTED = ".ir"
_KEPT = ("*.blob", "*.zip", f"*{_CONVERTED}")
_LENGTH_BYTES = 8
_SEAL_BYTES = 65  # a sha256 in hex, and the end of the line
# What decides which numbers a network gives, beside its weights: the code that builds it, and the libraries under it.
_BUILT_BY = (
    "backbones/builders",
    "backbones/registry.py",
    "backbones/spec.py",
    "runtime/extractor.py",
    "runtime/precision.py",
    "runtime/runners.py",
)
_LIBRARIES = ("keras", "tensorflow", "openvino")


def cache_folder() -> Path:
    """Where compiled networks are kept: what the variable TRAPLINE_CACHE names, else the user's folder for caches.

    Where the variable TRAPLINE_CACHE_GB is 0 it is a folder that cannot be.
    """
    import platformdirs

    if most_bytes() == 0:
        return Path(os.devnull) / "networks"
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named or platformdirs.user_cache_dir("trapline", appauthor=False)) / "networks"


def most_bytes() -> int:
    """How much of the disk they may take together: as the variable TRAPLINE_CACHE_GB says, 4 GB if it is not set.

    Raises:
        SettingsError: it is no number.
    """
    said = os.environ.get(LIMIT_VARIABLE, "").strip()
    try:
        gigabytes = float(said) if said else _USUAL_GB
    except ValueError:
        gigabytes = -1.0
    if not 0 <= gigabytes < float("inf"):
        raise SettingsError(f"{LIMIT_VARIABLE}={said}: expected gigabytes, such as 4, or 0 to keep no networks")
    return int(gigabytes * 10**9)


class CompiledNetworks:
    """The compiled forms of one network, one a picture size.

    Args:
        backbone: its row.
        weights: its weights.
        px: side of the square that it is built for, if it is built for one.
        folder: where they are kept.
        precision: what it computes in.
        quantised: digest of its quantised form, where that is what is compiled.
    """

    def __init__(
        self,
        backbone: Backbone,
        weights: Weights,
        px: int,
        folder: Path | None = None,
        *,
        precision: Precision = FULL,
        quantised: str = "",
    ) -> None:
        self._folder = folder or cache_folder()
        self._name = f"{_plain(backbone.name)}-{_digest(backbone, weights, px, precision, quantised)}"
        # What is compiled for f32 and for bf16 is one network.
        self._converted = self._folder / f"{_plain(backbone.name)}-{_digest(backbone, weights, px)}{_CONVERTED}"

    @property
    def is_known(self) -> bool:
        """Whether any size of this network was compiled before, so that it is known to build."""
        return any(self._folder.glob(f"{self._name}-*.blob"))

    def network(self, core: Any, convert: Callable[[], Any]) -> Any:
        """The network for pictures of any size that it takes: what was converted before, else what `convert` gives."""
        content = self._read(self._converted)
        if content is not None:
            end = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
            with contextlib.suppress(RuntimeError):
                return core.read_model(content[_LENGTH_BYTES:end], content[end:])
        network = convert()
        with contextlib.suppress(OSError, RuntimeError), tempfile.TemporaryDirectory(prefix="trapline-") as folder:
            xml, numbers = Path(folder) / "network.xml", Path(folder) / "network.bin"
            import_openvino().serialize(network, xml, numbers)
            text = xml.read_bytes()
            self._keep(self._converted, len(text).to_bytes(_LENGTH_BYTES, "little") + text + numbers.read_bytes())
        return network

    def load(self, core: Any, shape: tuple[int, ...], settings: dict[str, str]) -> Any | None:
        """The network for pictures of `shape`, compiled before; None if it was not, or what is kept is damaged."""
        blob = self._read(self._path(core, shape))
        if blob is None:
            return None
        try:
            return core.import_model(io.BytesIO(blob), "CPU", settings)
        except RuntimeError:
            return None

    def keep(self, core: Any, shape: tuple[int, ...], compiled: Any) -> None:
        """Keep a network that was compiled for pictures of `shape`; where that cannot be done, nothing is kept."""
        with contextlib.suppress(OSError, RuntimeError):
            stream = io.BytesIO()
            compiled.export_model(stream)
            self._keep(self._path(core, shape), stream.getvalue())

    def _read(self, path: Path) -> bytes | None:
        """What `_keep` wrote, which counts as used now; None if it is not there, or not whole."""
        try:
            content = path.read_bytes()
            seal, whole = content[:_SEAL_BYTES], content[_SEAL_BYTES:]
            if seal != _seal(whole):
                return None
            os.utime(path)
        except OSError:
            return None
        return whole

    def _keep(self, path: Path, content: bytes) -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(_seal(content) + content)
        remove_abandoned(self._folder)
        trim(self._folder, most_bytes())

    def _path(self, core: Any, shape: tuple[int, ...]) -> Path:
        machine = settings_digest(core.get_property("CPU", "FULL_DEVICE_NAME"))[:8]
        return self._folder / f"{self._name}-{machine}-{'x'.join(map(str, shape))}.blob"


def trim(folder: Path, most: int) -> None:
    """Delete the compiled networks, and copies of quantised ones, that were not used for longest, until those that are
    left take `most` bytes.
    """
    found = [path for ending in _KEPT for path in folder.glob(ending) if not is_temporary(path)]
    facts = [(path, stat) for path in found if (stat := _stat(path)) is not None]
    taken = sum(stat.st_size for _, stat in facts)
    for path, stat in sorted(facts, key=lambda each: each[1].st_mtime):
        if taken <= most:
            return
        with contextlib.suppress(OSError):
            path.unlink()
        taken -= stat.st_size


def _stat(path: Path) -> os.stat_result | None:
    """What the disk says of a file, None if another process removed it meanwhile."""
    try:
        return path.stat()
    except OSError:
        return None


def _seal(blob: bytes) -> bytes:
    return hashlib.sha256(blob).hexdigest().encode() + b"\n"


def _digest(backbone: Backbone, weights: Weights, px: int, precision: Precision = FULL, quantised: str = "") -> str:
    row = {
        "name": backbone.name,
        "taps": [[tap.name, tap.layer, tap.channels, tap.side] for tap in backbone.taps],
        "preprocessing": repr(backbone.preprocessing),
        "px": None if backbone.any_shape else px,
        "weights": weights.sha256,
        "precision": precision,
        "quantised": quantised,
        "builder": backbone.builder,
        "architecture": backbone.architecture,
        "code": _code_digest(),
        "builder_code": _module_digest(backbone.builder.partition(":")[0]),
        "libraries": {name: metadata.version(name) for name in _LIBRARIES},
    }
    return settings_digest(row)[:24]


@cache
def _code_digest() -> str:
    """The digest of the code that builds networks: where it changes, nothing that was built before is used."""
    package = resources.files("featurize")
    digest = hashlib.sha256()
    for name in _BUILT_BY:
        place = package.joinpath(name)
        files = [place] if place.is_file() else sorted(place.iterdir(), key=lambda each: each.name)
        for file in files:
            if file.name.endswith(".py"):
                digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _module_digest(name: str) -> str:
    """The digest of a module's file, which is not imported for it; where it has none, another one each time."""
    try:
        found = importlib.util.find_spec(name)
    except (ValueError, ImportError):  # a module that somebody made up in memory
        found = None
    path = Path(found.origin) if found is not None and found.origin else None
    if path is None or not path.is_file():
        return secrets.token_hex(8)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)
