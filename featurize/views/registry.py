"""The views that Trapline knows, in one table; a new view is a row."""

from collections.abc import Mapping
from typing import Any

from featurize.errors import SettingsError
from featurize.views.animal import AnimalSquares
from featurize.views.detector import DetectorSquares
from featurize.views.moving import MovingSquares
from featurize.views.view import View
from featurize.views.whole import WholeFrames

DEFAULT_VIEW = "whole"
VIEWS: dict[str, View] = {
    view.name: view for view in (WholeFrames(), MovingSquares(), AnimalSquares(), DetectorSquares())
}


def find_view(name: str) -> View:
    """The view called `name`.

    Raises:
        SettingsError: there is none of that name.
    """
    if name not in VIEWS:
        raise SettingsError(f"view {name!r} is unknown, expected one of {', '.join(VIEWS)}")
    return VIEWS[name]


def view_settings(name: str, *, contrast: bool = False) -> dict[str, Any]:
    """The view called `name` as it stands in a feature key.

    Args:
        name: of the view.
        contrast: whether its squares are brought nearer to a usual contrast; it does not stand in keys if not.

    Raises:
        SettingsError: there is none of that name.
    """
    settings = {"name": name, **find_view(name).settings()}
    if contrast:
        from featurize.views.contrast import contrast_settings

        settings |= contrast_settings()
    return settings


def has_contrast(settings: Mapping[str, Any]) -> bool:
    """Whether squares were brought nearer to a usual contrast, by a view as it stands in a feature key."""
    return "contrast.share" in settings
