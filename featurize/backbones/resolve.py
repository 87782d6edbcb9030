"""From the words of `--backbone` to rows: names of the registry, `hub:`, `keras:`, `onnx:` and `timm:` something."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from featurize.backbones.registry import find_backbone
from featurize.backbones.spec import Backbone
from featurize.backbones.timm_export import TIMM, timm_file
from featurize.errors import SettingsError

_HUB, _KERAS, _ONNX = "hub:", "keras:", "onnx:"


def is_own(word: str) -> bool:
    """Whether it is a model of somebody's own, and not in the registry."""
    return word.startswith((_HUB, _KERAS, _ONNX, TIMM))


def loads_a_model(word: str) -> bool:
    """Whether finding this backbone's row means loading a model, and TensorFlow with it."""
    return word.startswith((_HUB, _KERAS))


def resolve_backbones(
    words: Sequence[str],
    taps: str | None,
    *,
    input_px: int | None = None,
    offline: bool = False,
    preprocessing: str | None = None,
) -> list[Backbone]:
    """The rows that `words` name, each once.

    Args:
        words: of `--backbone`.
        taps: of `--taps`, separated by commas, for the one backbone that is not in the registry; None: its usual ones.
        input_px: of `--input-px`, for the same one.
        offline: whether to do without a download.
        preprocessing: of `--preprocessing`, for ONNX files.

    Raises:
        BackboneError: an unknown name or tap.
        SettingsError: taps or preprocessing were given where they have no meaning, or are missing.
        WeightsError: a model cannot be loaded.
    """
    own = [word for word in dict.fromkeys(words) if is_own(word)]
    if taps is not None and len(own) != 1:
        raise SettingsError(
            "--taps goes with exactly one --backbone hub:HANDLE, keras:FILE, onnx:FILE or timm:NAME; run others "
            "separately"
        )
    if preprocessing is not None and not any(word.startswith(_ONNX) for word in own):
        raise SettingsError("--preprocessing goes with --backbone onnx:FILE: other networks know their pixels")
    wanted = tuple(tap.strip() for tap in (taps or "").split(",") if tap.strip())
    found = [_row(word, wanted, input_px, offline, preprocessing) for word in dict.fromkeys(words)]
    return list({row.name: row for row in found}.values())


def tap_choices(word: str, *, offline: bool = False) -> dict[str, tuple[int | None, ...]]:
    """What can be tapped: name to shape, (H, W, channels) or (channels); None where it varies with the picture."""
    if word.startswith(_HUB):
        from featurize.backbones.builders.saved_model import saved_model_taps

        return dict(saved_model_taps(word.removeprefix(_HUB), offline=offline))
    if word.startswith(_KERAS):
        from featurize.backbones.builders.keras_file import keras_file_taps

        return keras_file_taps(Path(word.removeprefix(_KERAS)))
    if word.startswith(_ONNX):
        from featurize.backbones.builders.onnx_file import onnx_file_taps

        return onnx_file_taps(Path(word.removeprefix(_ONNX)))
    if word.startswith(TIMM):
        from featurize.backbones.builders.onnx_file import onnx_file_taps

        return onnx_file_taps(timm_file(word.removeprefix(TIMM), offline=offline))
    return {tap.name: (None, None, tap.channels) for tap in find_backbone(word).taps}


def _row(word: str, taps: tuple[str, ...], input_px: int | None, offline: bool, preprocessing: str | None) -> Backbone:
    if word.startswith(_HUB):
        from featurize.backbones.builders.saved_model import saved_model_backbone

        return saved_model_backbone(word.removeprefix(_HUB), taps, input_px=input_px, offline=offline)
    if word.startswith(_KERAS):
        from featurize.backbones.builders.keras_file import keras_file_backbone

        return keras_file_backbone(Path(word.removeprefix(_KERAS)), taps, input_px=input_px)
    if word.startswith(_ONNX):
        from featurize.backbones.builders.onnx_file import onnx_file_backbone

        path = Path(word.removeprefix(_ONNX))
        return onnx_file_backbone(path, taps, input_px=input_px, preprocessing=preprocessing)
    if word.startswith(TIMM):
        from featurize.backbones.builders.onnx_file import onnx_file_backbone

        path = timm_file(word.removeprefix(TIMM), input_px=input_px, offline=offline)
        return replace(onnx_file_backbone(path, taps), name=word, reference=f"{word}, as timm publishes it")
    return find_backbone(word)
