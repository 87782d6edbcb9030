"""Where the files of clips are."""

from pathlib import Path

import pandas as pd


class ClipFiles:
    """Finds the file of a clip, for its pictures and for links to it.

    Args:
        clips: the store's clip table, which knows where the files were when they were featurized.
        videos: the folder that clip ids are paths below, if the files are not where they were.
    """

    def __init__(self, clips: pd.DataFrame, videos: Path | None) -> None:
        self._paths = clips["path"].to_dict()
        self._videos = videos

    def path(self, clip_id: str) -> Path:
        """Where the file of a clip should be; that it is there is not certain."""
        if self._videos is not None:
            return self._videos / clip_id
        return Path(str(self._paths.get(clip_id, clip_id)))

    def link(self, clip_id: str) -> str:
        """An address of the file that a browser opens; "" if it is not there."""
        path = self.path(clip_id)
        return path.resolve().as_uri() if path.is_file() else ""
