"""FeatureKey: the settings that make cached features what they are."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

from store.digest import settings_digest
from store.errors import CorruptPartError

FORMAT_VERSION = 1
FULL_PRECISION = "f32"
# What `dtype` is of features that are rounded to a byte each, and usually.
ROUNDED, HALVES = "int8", "float16"
# How `preprocessing` begins where pictures are kept beside the features, as JPEG files.
PICTURES = "jpeg-"
# How it begins where they are the sound of clips, piece by piece.
WAVEFORM = "waveform-"
_DIGEST_CHARS = 12
# Settings that came later: their usual values are left out of the JSON, so that keys of before keep their digests.
_LEFT_OUT_AS_USUAL = {"precision": FULL_PRECISION, "quantised": ""}


@dataclass(frozen=True, kw_only=True)
class TapColumns:
    """Where one tap's channels stand among the D feature columns: [start, stop)."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True, kw_only=True)
class FeatureKey:
    """Everything that, if changed, would change the features: a different setting is a different key.

    Attributes:
        backbone: registry name of the network.
        weights_sha256: digest of the weights file, in hex; `random-<seed>` for untrained weights.
        taps: (name, channels) of each tap, in column order.
        input_px: nominal input side in pixels.
        resize: the rule that brings a frame to the network's input, and its settings.
        preprocessing: name of the rule that turns uint8 pixels into the network's numbers.
        view: what part of a frame the backbone sees: {"name": ..., settings}.
        sampling: which frames of a clip are taken: {"mode": ..., settings}.
        dtype: what features are stored as: `float16`, `float32`, or `int8`, rounded to a byte each.
        format_version: version of the on-disk format.
        precision: what the network computed in; keys did not have it before there was anything but `f32`, which still
            does not stand in their JSON.
        quantised: sha256 of the file of the quantised network, in hex; empty unless `precision` is `int8`.

    Example:
        >>> key = FeatureKey(
        ...     backbone="lite", weights_sha256="0" * 64, taps=(("low", 2), ("high", 4)), input_px=64,
        ...     resize="equal_area", preprocessing="none", view={"name": "motion"}, sampling={"mode": "fps"},
        ... )
        >>> key.source, key.dim
        ('lite+motion', 6)
        >>> FeatureKey.from_json(key.to_json()).digest == key.digest
        True
    """

    backbone: str
    weights_sha256: str
    taps: tuple[tuple[str, int], ...]
    input_px: int
    resize: str
    preprocessing: str
    view: Mapping[str, Any]
    sampling: Mapping[str, Any]
    dtype: str = HALVES
    format_version: int = FORMAT_VERSION
    precision: str = FULL_PRECISION
    quantised: str = ""

    @property
    def dim(self) -> int:
        """D, the number of feature columns: the channels of all taps together."""
        return sum(channels for _, channels in self.taps)

    @property
    def tap_columns(self) -> tuple[TapColumns, ...]:
        """The column range of each tap, in order."""
        columns, start = [], 0
        for name, channels in self.taps:
            columns.append(TapColumns(name=name, start=start, stop=start + channels))
            start += channels
        return tuple(columns)

    @property
    def holds_pictures(self) -> bool:
        """Whether each frame's picture is kept beside its features."""
        return self.preprocessing.startswith(PICTURES)

    @property
    def content(self) -> Literal["features", "pictures", "sound"]:
        """What the rows are there for: features, or pictures or sound as they were recorded."""
        if self.holds_pictures:
            return "pictures"
        return "sound" if self.preprocessing.startswith(WAVEFORM) else "features"

    @property
    def is_rounded(self) -> bool:
        """Whether features are rounded to a byte each."""
        return self.dtype == ROUNDED

    @cached_property  # a store of many parts compares each with it
    def digest(self) -> str:
        """The sha256 of the settings, in hex."""
        return settings_digest(self.to_json())

    @property
    def source(self) -> str:
        """The short name that people and recipes use: `backbone` for whole frames, else `backbone+view`."""
        view = self.view["name"]
        return self.backbone if view == "whole" else f"{self.backbone}+{view}"

    @property
    def folder(self) -> str:
        """The name of the key's folder below `features/`: readable first, unique by its digest."""
        safe = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in self.backbone)
        precision = "" if self.precision == FULL_PRECISION else f"-{self.precision}"
        return f"{safe}-{self.view['name']}{precision}-{self.digest[:_DIGEST_CHARS]}"

    def to_json(self) -> dict[str, Any]:
        """The key as plain JSON values; `from_json` turns it back."""
        spec = asdict(self)
        spec["taps"] = [[name, channels] for name, channels in self.taps]
        for name, usual in _LEFT_OUT_AS_USUAL.items():
            if spec[name] == usual:
                del spec[name]
        return spec

    @classmethod
    def from_json(cls, spec: Mapping[str, Any]) -> "FeatureKey":
        """The key that `to_json` spelled out.

        Raises:
            CorruptPartError: a field is missing or unknown.
        """
        try:
            return cls(**{**spec, "taps": tuple((str(name), int(channels)) for name, channels in spec["taps"])})
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptPartError(
                f"spec.json is not a feature key of format version {FORMAT_VERSION}: {error}"
            ) from error


# What a setting is for a key that does not have it.
UNSET = "none"


def setting_words(key: FeatureKey) -> dict[str, str]:
    """The settings of a key as words, by name; those of sampling first, since they differ most often.

    Settings of the view are left out where sampling has one of the same name.
    """
    plain = {
        **{name: value for name, value in key.sampling.items() if name != "mode"},
        "mode": key.sampling.get("mode", ""),
        "precision": key.precision,
        "input_px": key.input_px,
        "resize": key.resize,
        "weights": key.weights_sha256,
        "taps": ",".join(name for name, _ in key.taps),
        "preprocessing": key.preprocessing,
        "dtype": key.dtype,
        **({"quantised": key.quantised} if key.quantised else {}),
    }
    view = {name: value for name, value in key.view.items() if name not in plain}
    return {name: _spelt(value) for name, value in {**plain, **view}.items()}


def distinguish(keys: Sequence[FeatureKey]) -> dict[str, str]:
    """For keys of one source: by folder the fewest settings, as `name=value`, that no other of them has together.

    A setting that a key does not have, as others do, is `none`: it was made before there was such a setting.
    """
    words = {key.folder: setting_words(key) for key in keys}
    names = dict.fromkeys(name for each in words.values() for name in each)
    told = {}
    for folder, own in words.items():
        others, chosen = [other for name, other in words.items() if name != folder], []
        for name in {**own, **names}:
            if not others:
                break
            value = own.get(name, UNSET)
            left = [other for other in others if other.get(name, UNSET) == value]
            if len(left) < len(others):
                chosen.append(f"{name}={value}")
                others = left
        told[folder] = " ".join(chosen)
    return told


def _spelt(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
