"""The views that Trapline knows, in one table; a new view is a row."""

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


def view_settings(name: str) -> dict[str, Any]:
    """The view called `name` as it stands in a feature key.

    Raises:
        SettingsError: there is none of that name.
    """
    return {"name": name, **find_view(name).settings()}
