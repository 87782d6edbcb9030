"""Which files are clips, going by their suffix."""

from pathlib import Path

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".avi", ".asf", ".wmv", ".mov", ".mkv", ".mts", ".m2ts", ".webm", ".m4v", ".mpg", ".mpeg", ".3gp"}
)
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


def is_image(path: Path) -> bool:
    """Whether the file is a still picture, going by its suffix."""
    return path.suffix.lower() in IMAGE_SUFFIXES
