"""What a process that trains must load first, TensorFlow with it; loading says nothing on the terminal."""

from heads.workflows.training.ahead import keras_alone
from store.console import native_chatter

with native_chatter(shown=False), keras_alone():
    from heads.workflows.training.train import begin, train_head

__all__ = ["begin", "train_head"]
