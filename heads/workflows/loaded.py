"""What a process that trains must load first, TensorFlow with it; loading says nothing on the terminal."""

from store.console import native_chatter

with native_chatter(shown=False):
    from heads.workflows.train import begin, train_head

__all__ = ["begin", "train_head"]
