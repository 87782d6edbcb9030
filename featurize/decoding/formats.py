"""Which files are clips, going by their suffix."""

from pathlib import Path

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".avi", ".asf", ".wmv", ".mov", ".mkv", ".mts", ".m2ts", ".webm", ".m4v", ".mpg", ".mpeg", ".3gp"}
)
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif"})


def is_image(path: Path) -> bool:
    """Whether the file is a still picture, going by its suffix; some of these hold several, which make a video."""
    return path.suffix.lower() in IMAGE_SUFFIXES
