"""What a network itself takes pictures for, kept beside its features: `classifier.npz` in a key's folder.

It is the network's last layer, from one of its taps to scores of classes, so that what it would have called a frame can
be told from the features, by whoever reads them.
"""

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from store.errors import CorruptPartError, StoreReadError
from store.format.commit import commit_bytes

CLASSIFIER = "classifier.npz"
# The first 398 of ImageNet's thousand classes, in the order of their numbers.
IMAGENET_ANIMALS = "imagenet-1k animals"
# What reading an archive raises where bits of it are not as they were: one may say that it is encrypted, or compressed
# in a way that nobody knows, or that it is a single array.
_DAMAGED = (ValueError, KeyError, EOFError, OSError, RuntimeError, TypeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, kw_only=True, eq=False)
class Classifier:
    """A network's own last layer: scores of a frame are `tap @ kernel + bias`, up to a constant.

    Attributes:
        classes: what the classes are, and in which order: `IMAGENET_ANIMALS`.
        tap: the tap that it stands on, by name.
        kernel: (D, K) float32, for the D columns of the tap.
        bias: (K,) float32.
    """

    classes: str
    tap: str
    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]


def write_classifier(folder: Path, classifier: Classifier) -> None:
    """Keep a classifier in a key's folder; the same one gives the same bytes.

    Raises:
        StoreWriteError: the disk refused.
    """
    written = io.BytesIO()
    np.savez(
        written,
        classes=np.array(classifier.classes),
        tap=np.array(classifier.tap),
        kernel=classifier.kernel.astype(np.float32),
        bias=classifier.bias.astype(np.float32),
    )
    commit_bytes(folder / CLASSIFIER, written.getvalue())


def read_classifier(folder: Path) -> Classifier | None:
    """The classifier of a key's folder; None if there is none.

    Raises:
        CorruptPartError: it is damaged.
        StoreReadError: it cannot be read.
    """
    path = folder / CLASSIFIER
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreReadError(f"{path}: could not be read ({error.strerror}); restore access and try again") from error
    try:
        with np.load(io.BytesIO(content)) as kept:
            return Classifier(
                classes=str(kept["classes"]), tap=str(kept["tap"]), kernel=kept["kernel"], bias=kept["bias"]
            )
    except _DAMAGED as error:
        raise CorruptPartError(
            f"{path}: is damaged; remove it, and the same `featurize` command writes it anew"
        ) from error
