"""What a head reads of the features of its sources."""

from collections.abc import Sequence

from heads.data.features.readers import ConcatenatedReader, Reader, TapReader
from heads.recipe import HeadConfig
from store import FeatureReader


def reader_for(config: HeadConfig, readers: Sequence[FeatureReader]) -> Reader:
    """The pictures, the features, or the features of several sources side by side.

    Raises:
        JoinError: these have not the same frames.
    """
    if config.traits.reads_pictures:
        from heads.data.features.pictures import PictureReader  # which decodes them

        return PictureReader(readers[0], config.clip_frames, config.clip_px)
    seen = [TapReader(reader, config.taps) for reader in readers] if config.taps else readers
    return seen[0] if len(seen) == 1 else ConcatenatedReader(seen)
