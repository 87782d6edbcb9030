"""Tables of videos that Zamba Cloud exports, with the labels that people corrected."""

from pathlib import Path

from heads.data.labels import Labelled
from heads.data.reading.formats.collected import Collected
from heads.data.tables import read_header, read_table
from heads.errors import LabelError
from store.ids import normalise_clip_id


class ZambaCloud:
    """A row a video; what was corrected is a label, what only the model said is none."""

    about = "a CSV of videos from Zamba Cloud"

    def recognises(self, path: Path) -> bool:
        """Whether it has a column of corrected labels."""
        return {"original_filename", "corrected_label"} <= set(read_header(path))

    def read(self, path: Path) -> Labelled:
        """Read the corrected labels; several of one video stand in several rows."""
        table = read_table(path)
        found = Collected(origin=table.name, about="Zamba Cloud's table of videos")
        names = table.column("original_filename")
        for line, name, label in zip(table.lines, names, table.names("corrected_label"), strict=True):
            if not name.strip():
                raise LabelError(f"{table.name}, line {line}: 'original_filename' is empty; name the video")
            if label:
                found.add(normalise_clip_id(name), label)
            else:
                found.leave_out("video", "that nobody corrected")
        return found.labelled()
