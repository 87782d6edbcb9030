"""COCO Camera Traps: one JSON of images, categories and annotations."""

from pathlib import Path
from typing import Any

from heads.data.labels import Labelled
from heads.data.reading.formats.collected import Collected
from heads.data.reading.formats.containers import read_json
from heads.data.tables import tidy
from heads.errors import LabelError
from store.ids import normalise_clip_id

_PARTS = ("images", "annotations", "categories")


class CocoCameraTraps:
    """Files, and the categories that each is annotated with; the site is the location."""

    about = "a COCO Camera Traps .json"

    def recognises(self, path: Path) -> bool:
        """Whether it is JSON with images, annotations and categories."""
        found = read_json(path)
        return isinstance(found, dict) and all(isinstance(found.get(name), list) for name in _PARTS)

    def read(self, path: Path) -> Labelled:
        """Read it; an image without an annotation has no label, and a corrupt one neither."""
        content = read_json(path)
        found = Collected(origin=path.name, about="COCO Camera Traps")
        names = {
            _field(path, "categories", row, each, "id"): tidy(str(_field(path, "categories", row, each, "name")))
            for row, each in enumerate(content["categories"])
        }
        clip_of: dict[Any, str | None] = {}
        for row, image in enumerate(content["images"]):
            key, name = (_field(path, "images", row, image, field) for field in ("id", "file_name"))
            if image.get("corrupt") is True:
                found.leave_out("corrupt file")
                clip_of[key] = None
                continue
            clip_of[key] = clip_id = normalise_clip_id(str(name))
            found.seen.setdefault(clip_id)
            if image.get("location") not in (None, ""):
                found.place(clip_id, tidy(str(image["location"])), f"{path.name}, images[{row}]")
        shown: list[tuple[str, str]] = []
        for row, each in enumerate(content["annotations"]):
            key, category = (_field(path, "annotations", row, each, field) for field in ("image_id", "category_id"))
            if key not in clip_of or category not in names:
                field, value = ("image_id", key) if key not in clip_of else ("category_id", category)
                raise LabelError(f"{path.name}, annotations[{row}]: '{field}' is {value!r}, which is not in the file")
            annotated = clip_of[key]
            if annotated is not None:
                shown.append((annotated, names[category]))
        for clip_id, name in shown:
            found.add(clip_id, name)
        return found.labelled()


def _field(path: Path, part: str, row: int, entry: Any, field: str) -> Any:
    value = entry.get(field) if isinstance(entry, dict) else None
    if not isinstance(value, str | int):
        raise LabelError(f"{path.name}, {part}[{row}]: '{field}' is {value!r}, expected text or a number; add it")
    return value
