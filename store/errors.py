"""The errors of the store, and the ancestor of every error that Trapline raises on purpose.

A message is one sentence that says what, where, what was expected and received, and what to do.
"""

_BREAKING = "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029"


class TraplineError(Exception):
    """Anything wrong with what a person gave us or with the machine: commands print it and exit with 1."""

    def __str__(self) -> str:
        """The message itself, also where a builtin parent (KeyError, OSError) would print it otherwise.

        It is one line: characters of names that would break or erase it on a terminal are written as escapes.
        """
        message = " ".join(str(part) for part in self.args)
        return message if message.isprintable() else "".join(map(_printable, message))


def _printable(letter: str) -> str:
    return letter if letter.isprintable() or (letter.isspace() and letter not in _BREAKING) else ascii(letter)[1:-1]


class StoreError(TraplineError):
    """Base class of the store's errors."""


class StoreNotFoundError(StoreError, FileNotFoundError):
    """There is no store, or no such key in it, at the place that was named."""


class StoreWriteError(StoreError, OSError):
    """The disk refused a write; what was committed before is intact."""


class CorruptPartError(StoreError, OSError):
    """A part file does not hold what its format promises."""


class UnknownClipError(StoreError, KeyError):
    """A clip id was asked for that is not there."""


class DuplicateClipError(StoreError, ValueError):
    """A clip id stands twice where it must stand once."""


class InvalidRecordError(StoreError, ValueError):
    """A row that was offered to the store contradicts itself or the key."""


class ConfigError(TraplineError, ValueError):
    """A configuration file holds an unknown key or a value outside its range."""


class StoreReadError(StoreError, OSError):
    """The machine refused to read a file of the store (permission, input/output error)."""


class StoreRequestError(StoreError, ValueError):
    """Something was asked of the store that makes no sense, such as padding to less than the longest clip."""


class ClusterError(TraplineError, ConnectionError):
    """A cluster cannot be joined, or must not be."""
