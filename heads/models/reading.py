"""What a head reads of the features of its sources."""

from collections.abc import Sequence

from heads.features.readers import ConcatenatedReader, Reader
from heads.recipe import HeadConfig
from store import FeatureReader


def reader_for(config: HeadConfig, readers: Sequence[FeatureReader]) -> Reader:
    """The pictures, the features, or the features of several sources side by side.

    Raises:
        JoinError: these have not the same frames.
    """
    if config.traits.reads_pictures:
        from heads.features.pictures import PictureReader  # which decodes them

        return PictureReader(readers[0], config.clip_frames, config.clip_px)
    return readers[0] if len(readers) == 1 else ConcatenatedReader(readers)
