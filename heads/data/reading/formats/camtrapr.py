"""Record tables of the R package camtrapR."""

from pathlib import Path

from heads.data.labels import Labelled
from heads.data.reading.formats.collected import Collected
from heads.data.tables import read_header, read_table
from heads.errors import LabelError
from store.ids import normalise_clip_id


class RecordTable:
    """A row a record: a station, a species, and the file that shows it; stations are sites."""

    about = "a record table of camtrapR"

    def recognises(self, path: Path) -> bool:
        """Whether it has the columns of every record table."""
        header = read_header(path)
        return {"Station", "Species", "FileName"} <= set(header) and bool(
            {"Directory", "DateTimeOriginal"} & set(header)
        )

    def read(self, path: Path) -> Labelled:
        """Read it; records that camtrapR has filtered by time are not there, so that their files have no label."""
        table = read_table(path)
        found = Collected(origin=table.name, about="a record table of camtrapR")
        species, stations = table.names("Species"), table.names("Station")
        folders = table.column("Directory") if "Directory" in table.columns else [""] * len(table.rows)
        for row, (folder, name) in enumerate(zip(folders, table.column("FileName"), strict=True)):
            if not name.strip():
                raise LabelError(f"{table.name}, line {table.lines[row]}: 'FileName' is empty; name the file")
            clip_id = normalise_clip_id(f"{folder.rstrip('/' + chr(92))}/{name}" if folder.strip() else name)
            found.add(clip_id, species[row])
            if stations[row]:
                found.place(clip_id, stations[row], f"{table.name}, line {table.lines[row]}")
        return found.labelled()
