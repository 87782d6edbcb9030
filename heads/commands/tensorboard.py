"""TensorBoard event files of a run's training, for those who watch with it."""

from typing import Any

import tensorflow as tf

from heads.data.history import Epoch
from heads.run import RunDirectory


class EventFiles:
    """Writes each epoch's losses and step size to `heads/<name>/tensorboard` of a run."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._writers: dict[str, Any] = {}

    def __call__(self, name: str, epoch: Epoch) -> None:
        """Write one epoch of the head called `name`."""
        if name not in self._writers:
            self._writers[name] = tf.summary.create_file_writer(str(self._run.head_folder(name) / "tensorboard"))
        with self._writers[name].as_default(step=epoch.number):
            _write("loss", epoch.loss)
            _write("step size", sum(epoch.rates) / len(epoch.rates))
            for member, loss in enumerate(epoch.losses):
                _write(f"loss/member {member}", loss)
        self._writers[name].flush()


def _write(tag: str, value: float) -> None:
    """What `tf.summary.scalar` does, without needing TensorBoard itself."""
    kind = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    tf.summary.write(tag, tf.constant(value, tf.float32), metadata=tf.compat.v1.SummaryMetadata(plugin_data=kind))
