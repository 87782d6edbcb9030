"""Whether there is a GPU that networks can run on, and how TensorFlow is kept off it."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from featurize.backbones.runner import DeviceName
from featurize.errors import SettingsError
from store.console import native_chatter

# Where one of these is, TensorFlow may have a GPU; where none is, it need not be asked.
_SIGNS_OF_A_GPU = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def has_gpu() -> bool:
    """Whether TensorFlow sees a GPU. On Linux it is imported for that only where there are signs of one."""
    if sys.platform == "linux" and not any(Path(sign).exists() for sign in _SIGNS_OF_A_GPU):
        return False
    with native_chatter(shown=False):
        import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def require_device(device: DeviceName) -> None:
    """Raise SettingsError unless networks can run here on a device."""
    if device == "gpu" and not has_gpu():
        raise SettingsError(
            "--device gpu: TensorFlow sees no GPU on this machine; leave --device out, or install a driver and "
            "`pip install 'tensorflow[and-cuda]'`"
        )


@contextlib.contextmanager
def placed_on(device: DeviceName) -> Iterator[None]:
    """Within it, TensorFlow makes and computes everything on the processor if that is what was asked for."""
    if device != "cpu" or not has_gpu():
        yield
        return
    import tensorflow as tf

    with tf.device("/CPU:0"):
        yield


def forbid_tensor_float_32() -> None:
    """Have TensorFlow compute float32 as such: by itself it drops 13 bits of it where a GPU is faster without."""
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)
