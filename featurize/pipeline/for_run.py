"""What a trained run reads, or a store holds, of new clips too: the same networks, views, sampling and sizes."""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from featurize.backbones.registry import BACKBONES, find_backbone
from featurize.backbones.resolve import is_own, resolve_backbones
from featurize.backbones.runner import Precision
from featurize.backbones.spec import Backbone
from featurize.backbones.timm_export import TIMM
from featurize.backbones.weights import Weights, choose_weights
from featurize.errors import SettingsError, SourceError, WeightsError
from featurize.pipeline.source import FeatureSource, make_source
from featurize.views.registry import has_contrast
from featurize.views.sampling import MAX_FRAMES, USUAL, USUAL_FPS, Sampling, sampling_options
from store import FeatureStore
from store.errors import CorruptPartError
from store.key import FeatureKey, distinguish

# What they give is the same whichever frames are sampled.
_OF_ALL_SOUND = frozenset(row.name for row in BACKBONES.values() if row.kind == "waveform")
# They see squares as they are in any store.
_RULES = frozenset(row.name for row in BACKBONES.values() if not row.is_network)


def keys_of_run(run: Path) -> list[FeatureKey]:
    """The features that the heads of a run read; of a blended run, those of the models that its blend keeps.

    Raises:
        SourceError: there is no such run, or it cannot be read.
    """
    try:
        place = zipfile.Path(run) if run.is_file() else run
    except (zipfile.BadZipFile, OSError) as error:
        raise SourceError(
            f"{run}: is no packed model ({error}); name a run's folder, or what `heads pack` made"
        ) from error
    folder = place / "heads"
    if not folder.is_dir() and not (place / "config.yaml").is_file():
        raise SourceError(f"{run}: there is no run here, expected its folder `heads`; name the run's folder with --for")
    try:
        blend = place / "blend.json"
        wanted = json.loads(blend.read_text(encoding="utf-8"))["models"] if blend.is_file() else None
        heads = sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []
        read = [folder / name / "head.json" for name in heads if wanted is None or name in wanted]
        specs: list[dict[str, Any]] = [
            spec for path in read if path.is_file() for spec in json.loads(path.read_text(encoding="utf-8"))["sources"]
        ]
        keys = [FeatureKey.from_json(spec) for spec in specs]
    except (OSError, ValueError, KeyError, TypeError, CorruptPartError) as error:
        raise SourceError(
            f"{run}: cannot be read as a run ({error}); name the folder that `heads train` made"
        ) from error
    if not keys and (place / "added").is_dir():
        raise SourceError(f"{run}: no head of this run was trained on features, so there is nothing to make for it")
    if not keys:
        raise SourceError(
            f"{run}: training has not finished a head here, so it cannot be told what they read; let `heads train "
            f"--run {run} ...` come to an end first"
        )
    return list({key.digest: key for key in keys}.values())


def sampling_of(key: FeatureKey) -> Sampling:
    """The sampling that a key was made under.

    Raises:
        SettingsError: it was made by another version of Trapline, which samples otherwise.
    """
    said = key.sampling
    if said["mode"] == "fps":
        sampling = Sampling(fps=said["fps"], max_frames=said["max_frames"])
    else:
        sampling = Sampling(frames=said["frames"], choose="motion" if said["mode"] == "motion" else "even")
    if sampling.to_json() != dict(said):
        raise SettingsError(f"{key.folder}: was sampled by another version of Trapline; featurize with that version")
    return sampling


def choose_sampling(
    fps: float | None,
    frames: int | None,
    max_frames: int,
    choose: Literal["even", "motion"],
    store: Path | None,
    backbones: Sequence[str] = (),
) -> Sampling:
    """The sampling that is asked for; where nothing is, that of the features in a store, else what is usual.

    Args:
        fps: of `--fps`.
        frames: of `--frames`.
        max_frames: of `--max-frames`.
        choose: of `--choose`.
        store: its folder, which need not be there; None to ask none.
        backbones: of `--backbone`. Of several samplings it is the one of what the store holds of these that counts;
            for sound as a whole it does not matter which, so that beside others it has no say.

    Raises:
        SettingsError: the store holds features of several samplings, none of which is usual, or of one that this
            version does not have; or what is asked for is none.
    """
    if (fps, frames) != (None, None):
        rate = None if fps is None else float(fps)
        return _as_held(Sampling(fps=rate, frames=frames, max_frames=max_frames, choose=choose), store)
    if (max_frames, choose) != (MAX_FRAMES, "even"):  # settings of frames a second, or of a number that is not given
        return Sampling(fps=USUAL_FPS, max_frames=max_frames, choose=choose)
    if store is None or not (store / "features").is_dir():
        return USUAL
    keys = FeatureStore.open(store).keys()
    names = {word if is_own(word) else find_backbone(word).name for word in backbones}
    seeing = names - _OF_ALL_SOUND
    own = _by_sampling([key for key in keys if key.backbone in (seeing or names)])
    of_frames = _by_sampling([key for key in keys if key.backbone not in _OF_ALL_SOUND])
    held = own if len(own) == 1 or (own and not seeing) else of_frames
    usual = json.dumps(USUAL.to_json(), sort_keys=True)
    if len(held) > 1 and usual not in held:
        if names and not seeing:
            return sampling_of(next(iter(own.values()))) if own else USUAL
        told = " or ".join(dict.fromkeys(sampling_options(key.sampling) for key in held.values()))
        raise SettingsError(f"{store}: the store holds features of several samplings; say which is meant: {told}")
    return USUAL if usual in held or not held else sampling_of(next(iter(held.values())))


def choose_contrast(view: str, backbone: str, keys: Sequence[FeatureKey]) -> bool:
    """Whether squares are to be brought nearer to a usual contrast, where that is the view's way.

    They are, unless all features of the view that a store holds are without: those of the backbone or, where it holds
    none of that, of any. So what was begun is gone on with, and one name means one thing in a store.

    Args:
        view: its name.
        backbone: its name.
        keys: of all that the store holds; none if there is none yet.
    """
    held = [key for key in keys if key.view["name"] == view and key.backbone not in _RULES]
    own = [key for key in held if key.backbone == backbone]
    return not held or any(has_contrast(key.view) for key in own or held)


def _by_sampling(keys: Sequence[FeatureKey]) -> dict[str, FeatureKey]:
    """A key of each sampling, by the sampling as text."""
    return {json.dumps(dict(key.sampling), sort_keys=True): key for key in keys}


def _as_held(asked: Sampling, store: Path | None) -> Sampling:
    """What is asked for, spelt as the store has it: from Python 3 was not 3.0 once, and so are keys of that time."""
    if store is None or not (store / "features").is_dir():
        return asked
    alike = [key for key in FeatureStore.open(store).keys() if dict(key.sampling) == asked.to_json()]
    spelt = {json.dumps(dict(key.sampling), sort_keys=True) for key in alike}
    own = json.dumps(asked.to_json(), sort_keys=True)
    return asked if not alike or own in spelt else sampling_of(alike[0])


def sources_of(
    keys: Sequence[FeatureKey], words: Sequence[str], weights: Sequence[str], *, offline: bool
) -> list[FeatureSource]:
    """The sources that give just the features of some keys.

    Args:
        keys: of a run.
        words: of `--backbone`, for networks that are not in the registry: their files.
        weights: of `--weights`.
        offline: whether nothing may be downloaded.

    Raises:
        SettingsError: a network of one's own is not named, or its settings cannot be had here.
        WeightsError: the weights here are not those that the run's features were made with.
    """
    networks: dict[tuple[Any, ...], tuple[Backbone, Weights]] = {}
    sources = []
    for key in keys:
        network = (key.backbone, key.taps, key.input_px, key.weights_sha256)
        if network not in networks:  # views of one network share it: weights are large, and models take long to load
            networks[network] = _network_of(key, words, weights, offline=offline)
        sources.append(_source_of(key, *networks[network]))
    return sources


def _network_of(
    key: FeatureKey, words: Sequence[str], given: Sequence[str], *, offline: bool
) -> tuple[Backbone, Weights]:
    backbone = _backbone_of(key, words, offline=offline)
    wanted = [*given, f"{backbone.name}=random"] if _is_random(key.weights_sha256) else given
    own = [word for word in wanted if "=" not in word or word.startswith(f"{backbone.name}=")]
    weights = choose_weights([backbone], own, offline=offline)[backbone.name]
    if weights.sha256 != key.weights_sha256:
        raise WeightsError(
            f"{backbone.name}: the run's features were made with weights {_short(key.weights_sha256)}, those here are "
            f"{_short(weights.sha256)}; give the file that was used with --weights {backbone.name}=PATH"
        )
    return backbone, weights


def _source_of(key: FeatureKey, backbone: Backbone, weights: Weights) -> FeatureSource:
    rule = key.resize.partition(",")[0]
    source = make_source(
        backbone,
        weights,
        str(key.view["name"]),
        contrast=has_contrast(key.view),
        input_px=key.input_px,
        resize=rule,
        precision=_precision(key),
        stored=key.dtype,
    )
    if key.quantised:
        source = replace(source, quantised=Weights(path=None, sha256=key.quantised))
    made = source.key(sampling_of(key))
    if made != key:
        told = distinguish([key, made])
        raise SettingsError(
            f"{key.folder}: was made with settings that this version of Trapline does not have ({told[key.folder]}; "
            f"here {told[made.folder]}); featurize with the version that made it"
        )
    return source


def _precision(key: FeatureKey) -> Precision:
    for precision in get_args(Precision):
        if precision == key.precision:
            return precision  # type: ignore[no-any-return]
    raise SettingsError(
        f"{key.folder}: was computed in {key.precision}, which this version of Trapline does not have; featurize with "
        "the version that made it"
    )


def _backbone_of(key: FeatureKey, words: Sequence[str], *, offline: bool) -> Backbone:
    if not is_own(key.backbone):
        return resolve_backbones([key.backbone], None)[0]
    taps = ",".join(name for name, _ in key.taps)
    for word in (*words, *([key.backbone] if key.backbone.startswith(TIMM) else [])):
        (found,) = resolve_backbones(
            [word],
            taps if is_own(word) else None,
            input_px=key.input_px,
            offline=offline,
            preprocessing=key.preprocessing if word.startswith("onnx:") else None,
        )
        if found.name == key.backbone:
            return found
    raise SettingsError(
        f"the run reads {key.backbone}, a network of your own: name its file too, by --backbone keras:FILE.keras, "
        "onnx:FILE.onnx or hub:FOLDER"
    )


def _is_random(sha256: str) -> bool:
    """Whether what stands in a key for a digest of weights is that of an untrained network."""
    return sha256.startswith("random")


def _short(sha256: str) -> str:
    return sha256 if _is_random(sha256) else f"{sha256[:12]}…"
