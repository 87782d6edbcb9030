"""What to do where a store lacks features that a trained head reads: the whole command, to be copied."""

import shlex
from pathlib import Path, PurePosixPath

from store import FeatureStore


def featurize_command(run: Path, store: FeatureStore) -> str:
    """The `featurize` command, for a shell, that makes what a run reads of the clips of `store`."""
    return shlex.join(["featurize", *_folders_of_clips(store), "--store", str(store.root), "--for", str(run)])


def _folders_of_clips(store: FeatureStore) -> list[str]:
    """The folders that clip ids are paths below, as far as the store can tell; `CLIPS` if it cannot."""
    found: dict[str, None] = {}
    for clip_id, path in store.clips()["path"].items():
        parts, below = Path(str(path)).parts, PurePosixPath(str(clip_id)).parts
        if len(parts) > len(below) and parts[-len(below) :] == below:
            found[str(Path(*parts[: -len(below)]))] = None
    return sorted(found) or ["CLIPS"]
