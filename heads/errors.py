"""The errors of the heads package: one base, and a builtin parent each that callers would catch anyway."""

from store.errors import TraplineError


class HeadsError(TraplineError):
    """Base class of the errors of heads, blends and reports."""


class HeadsWarning(UserWarning):
    """Something that the user should know of training: what flatters scores, what is left out.

    Example:
        warnings.simplefilter("error", heads.HeadsWarning)
    """


class LabelError(HeadsError, ValueError):
    """A label or site table does not say what it must say."""


class DecisionError(HeadsError, ValueError):
    """A log of decisions cannot be read or added to, or does not fit the labels."""


class FoldError(HeadsError, ValueError):
    """The clips cannot be dealt into the folds that were asked for."""


class PredictionError(HeadsError, ValueError):
    """A table of predictions is malformed or does not belong to the clips or classes at hand."""


class BlendError(HeadsError, ValueError):
    """A blend cannot be fitted to, or applied to, the predictions it was given."""


class RunError(HeadsError, FileNotFoundError):
    """A run directory lacks a piece, or holds one that cannot be read."""


class TrainError(HeadsError, ValueError):
    """The store, the labels and the run do not fit together."""


class RecipeError(HeadsError, ValueError):
    """A recipe asks for something that the store does not hold."""


EXIT_STOPPED = 130  # of a command that was asked to stop, as shells have it for Ctrl-C


class StoppedError(HeadsError):
    """Training was asked to stop, and did so after an epoch, with everything saved."""


class JoinError(HeadsError, ValueError):
    """Sources have not the same frames."""


class PredictError(HeadsError, ValueError):
    """The run and the store do not fit together."""


class AttendError(HeadsError, ValueError):
    """There are no frames to weigh."""


class UnweighedError(AttendError):
    """A head gives single frames no weights."""


class ReviewError(HeadsError):
    """The review page cannot be served, or not show what was asked for."""


class SelectionError(HeadsError, ValueError):
    """Clips cannot be chosen as was asked."""
