"""The errors of featurize. A clip that cannot be decoded is not one of them: that is a row with a reason."""

from store.errors import TraplineError


class FeaturizeError(TraplineError):
    """Base class of featurize's errors."""


class FeaturizeWarning(UserWarning):
    """Something that makes features worthless, or clips that are missing among them.

    Example:
        warnings.simplefilter("error", featurize.FeaturizeWarning)
    """


class WeightsError(FeaturizeError, OSError):
    """Pretrained weights are missing, changed or not what they claim to be."""


class BackboneError(FeaturizeError, ValueError):
    """A backbone or a tap that is not in the registry, or that does not build as declared."""


class SourceError(FeaturizeError, ValueError):
    """The videos that were named cannot be listed."""


class SettingsError(FeaturizeError, ValueError):
    """Sampling, view or resize settings outside their range."""


class SitesError(FeaturizeError, ValueError):
    """A table of deployments is malformed, or names none of the clips."""


class ScratchSpaceError(FeaturizeError, OSError):
    """The folder for temporary files is full."""


class MachineError(FeaturizeError, OSError):
    """The machine has run out of something: open files, processes, memory, disk, or room on its GPU."""
