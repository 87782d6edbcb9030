"""What to do where a store lacks features that a trained head reads: the whole command, to be copied."""

import shlex
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from store import FeatureStore
from store.key import FeatureKey


def featurize_commands(keys: Iterable[FeatureKey], store: FeatureStore) -> str:
    """The `featurize` commands, for a shell, that make the features of `keys` for the clips of `store`."""
    folder = _folder_of_clips(store)
    return " && ".join(
        shlex.join(["featurize", folder, *_words(key, store)]) for key in {key.digest: key for key in keys}.values()
    )


def _words(key: FeatureKey, store: FeatureStore) -> list[str]:
    words = ["--store", str(store.root), "--backbone", key.backbone, "--view", str(key.view["name"])]
    words += ["--input-px", str(key.input_px), "--resize", key.resize.partition(",")[0]]
    if key.backbone.startswith(("hub:", "keras:")):
        words += ["--taps", ",".join(name for name, _ in key.taps)]
    if key.weights_sha256.startswith("random"):
        words += ["--weights", "random"]
    sampling = key.sampling
    if sampling["mode"] == "fps":
        return [*words, "--fps", f"{sampling['fps']:g}", "--max-frames", str(sampling["max_frames"])]
    words += ["--frames", str(sampling["frames"])]
    return [*words, "--choose", "motion"] if sampling["mode"] == "motion" else words


def _folder_of_clips(store: FeatureStore) -> str:
    """The folder that clip ids are paths below, as far as the store can tell; `CLIPS` if it cannot."""
    for clip_id, path in store.clips()["path"].items():
        parts, below = Path(str(path)).parts, PurePosixPath(str(clip_id)).parts
        if len(parts) > len(below) and parts[-len(below) :] == below:
            return str(Path(*parts[: -len(below)]))
    return "CLIPS"
