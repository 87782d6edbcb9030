"""Which quantised network a source is run through: one a store, fitted once to pictures of the clips of its user.

The pictures are drawn by a digest of the clips' names, so that the same clips give the same network. From then on the
store holds it, and whatever comes later (new clips, a run that continues, other machines) is run through that very one.
"""

import contextlib
import hashlib
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurize.backbones.weights import Weights
from featurize.errors import SourceError, WeightsError
from featurize.pipeline.clips.prefetch import decode_clip
from featurize.pipeline.discover import Clip
from featurize.pipeline.source import FeatureSource
from featurize.runtime.compiled import cache_folder, most_bytes, trim
from featurize.runtime.quantised import quantise, require_quantiser, write_quantised
from featurize.views.crops import ViewSpec
from featurize.views.registry import DEFAULT_VIEW
from featurize.views.sampling import Sampling
from store.digest import settings_digest
from store.errors import StoreWriteError
from store.format.network_file import FOLDER as NETWORKS
from store.format.network_file import add_network, choose_network, chosen_network, find_network

# Changes when networks are quantised in another way: then new stores get other networks.
_REVISION = 1
_CLIPS = 32
_MOST_TRIED = 256
_PICTURES_A_VIEW = 2
_VIEWS = (DEFAULT_VIEW, "motion")  # what networks are mostly shown
_ORDER_CHARS = 12


def quantised_sources(
    sources: Sequence[FeatureSource],
    clips: Sequence[Clip],
    folders: Sequence[Path],
    network_of: Callable[[FeatureSource], Any],
    *,
    workers: int,
    brought_by: Path | None = None,
    on_calibrate: Callable[[FeatureSource], None] = lambda _: None,
) -> list[FeatureSource]:
    """The sources, those in int8 with the network that stands for theirs, which is made if there is none yet.

    Args:
        sources: what is asked for.
        clips: all that were named; some of them show a network what it is going to see.
        folders: where quantised networks are looked for, one after the other; in the last one they are made.
        network_of: gives a source's network in f32, as OpenVINO's.
        workers: decoding threads.
        brought_by: a run's folder, or a packed model, that may bring networks along.
        on_calibrate: called before a network is quantised, which takes from seconds to minutes.

    Raises:
        SettingsError: NNCF is not installed.
        SourceError: none of the clips can be decoded.
        WeightsError: the network that stands for a source is neither in the folders nor in the user's cache, and
            nothing brings it along.
        StoreWriteError: the disk refused.
    """
    found: dict[tuple[str, Weights | None], Weights] = {}

    def meant(source: FeatureSource) -> Weights:
        if source.quantised is not None:
            return require_network(source.backbone.name, source.quantised.sha256, folders, brought_by)
        order = _order(source)
        sha256 = next(filter(None, (chosen_network(folder, order) for folder in folders)), None)
        if sha256 is None:
            require_quantiser()
            on_calibrate(source)
            made = _calibrate(source, clips, folders[-1], network_of, workers)
            sha256 = choose_network(folders[-1], order, made)
        return require_network(source.backbone.name, sha256, folders)

    complete = []
    for source in sources:
        if source.precision == "int8":
            network = (_order(source), source.quantised)
            if network not in found:
                found[network] = meant(source)
            source = replace(source, quantised=found[network])
        complete.append(source)
    return complete


def require_network(name: str, sha256: str, folders: Sequence[Path], brought_by: Path | None = None) -> Weights:
    """The quantised network of a digest in one of some folders; of one that a run or a packed model brings, or that is
    in the user's cache, a copy is put into the last one.

    Raises:
        WeightsError: it is nowhere.
    """
    path = next(filter(None, (find_network(folder, sha256) for folder in folders)), None)
    if path is None:
        folder = folders[-1]
        content = _brought(brought_by, sha256)
        cached = find_network(cache_folder(), sha256)
        if content is not None:
            add_network(folder, _name(name), lambda target: target.write_bytes(content))
        elif cached is not None:
            add_network(folder, _name(name), partial(shutil.copyfile, cached))
        else:
            raise WeightsError(
                f"{name}: the network that was quantised for these features is not in {folder}; copy the file whose "
                f"name ends in -{sha256[:12]}.zip from the folder `networks` of the store that they were made in, or "
                "have the model packed with `heads pack --store`"
            )
        path = find_network(folder, sha256)
    return Weights(path=path, sha256=sha256)


def _brought(place: Path | None, sha256: str) -> bytes | None:
    """The network of a digest that a run's folder or a packed model brings along; None if it brings none."""
    if place is None:
        return None
    files = (zipfile.Path(place) if place.is_file() else place) / NETWORKS
    for file in files.iterdir() if files.is_dir() else ():
        content = file.read_bytes()
        if hashlib.sha256(content).hexdigest() == sha256:
            return content
    return None


def _order(source: FeatureSource) -> str:
    """What a source's network is quantised for, as it stands in file names: views of one network share it."""
    asked = {
        "revision": _REVISION,
        "backbone": source.backbone.name,
        "weights": source.weights.sha256,
        "taps": [[tap.name, tap.channels] for tap in source.backbone.taps],
        "preprocessing": source.backbone.preprocessing.name,
        "px": source.canvas.px,
        "resize": source.canvas.settings,
    }
    return f"{_name(source.backbone.name)}-{settings_digest(asked)[:_ORDER_CHARS]}"


def _calibrate(
    source: FeatureSource,
    clips: Sequence[Clip],
    folder: Path,
    network_of: Callable[[FeatureSource], Any],
    workers: int,
) -> str:
    """Quantise the network of a source, and keep it in a store's folder and, as a copy, in the user's cache."""
    shown = list(_pictures(source, clips, workers))
    pictures, used = [picture for _, picture in shown], [clip_id for clip_id, _ in shown]
    if not pictures:
        tried = min(len(clips), _MOST_TRIED)
        raise SourceError(
            f"{source.backbone.name}: none of {tried} clips can be decoded, and --precision int8 needs pictures to "
            "quantise it by; name clips that can be decoded, or use --precision bf16 or f32"
        )
    network = network_of(source)
    batch = network.input(0).partial_shape[0]
    told = {"pictures": len(pictures), "clips": list(dict.fromkeys(used)), "resize": source.canvas.settings}
    quantised = quantise(network, _batches(pictures, 1 if batch.is_dynamic else batch.get_length()))

    def write(target: Path) -> None:
        write_quantised(target, quantised, told)

    sha256 = add_network(folder, _name(source.backbone.name), write)
    with contextlib.suppress(StoreWriteError, OSError):
        add_network(cache_folder(), _name(source.backbone.name), write)
        trim(cache_folder(), most_bytes())
    return sha256


def _pictures(source: FeatureSource, clips: Sequence[Clip], workers: int) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """(id of the clip, (1, H, W, 3)) of some pictures of some clips, drawn by a digest of their ids."""
    specs = [ViewSpec(canvas=source.canvas, view=view) for view in _VIEWS]
    sampling = Sampling(frames=_PICTURES_A_VIEW)
    drawn = sorted(clips, key=lambda clip: hashlib.sha256(f"calibration {clip.clip_id}".encode()).digest())[
        :_MOST_TRIED
    ]

    def decoded(clip: Clip) -> list[NDArray[np.uint8]]:
        crops = decode_clip(clip, clip.on_disk(), sampling, specs).crops
        return [
            pixels[None]
            for spec in specs
            if spec in crops
            for pixels in [one for _, many in crops[spec].by_size for one in many][:_PICTURES_A_VIEW]
        ]

    given = 0
    with ThreadPoolExecutor(workers, thread_name_prefix="calibrate") as pool:
        for start in range(0, len(drawn), _CLIPS):
            some = drawn[start : start + _CLIPS]
            for clip, pictures in zip(some, pool.map(decoded, some), strict=True):
                if pictures and given < _CLIPS:
                    given += 1
                    yield from ((clip.clip_id, picture) for picture in pictures)
            if given == _CLIPS:
                return


def _batches(pictures: Sequence[NDArray[np.uint8]], size: int) -> list[NDArray[np.uint8]]:
    """The pictures as batches of one size; the last is filled up from the first."""
    if size == 1:
        return list(pictures)
    rows = np.concatenate(pictures)
    return [np.take(rows, range(start, start + size), axis=0, mode="wrap") for start in range(0, len(rows), size)]


def _name(backbone: str) -> str:
    """How a backbone stands in file names."""
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in backbone)
    return f"{safe}-int8"
