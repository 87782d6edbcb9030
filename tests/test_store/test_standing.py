"""Boxes that stand at one place of a camera's picture through many clips are found, and others are not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from store import ClipFeatures, FeatureKey, FeatureStore, SeenAgainst
from store.cli import app
from store.errors import StoreRequestError
from store.maintenance.standing import find_boxed_key, find_standing_boxes

SETTINGS = {"background.alike": 0.35, "low_px": 160}
VIEW = {"name": "animal", **SETTINGS}
WHOLE = (0.0, 0.0, 1.0, 1.0)
BRANCH = (0.70, 0.10, 0.90, 0.40)
ELSEWHERE = [(0.05 * n, 0.6, 0.05 * n + 0.1, 0.8) for n in range(8)]

Filled = Callable[..., tuple[FeatureStore, FeatureKey]]


def moved(box: Sequence[float], by: float) -> tuple[float, ...]:
    return tuple(edge + by for edge in box)


@pytest.fixture
def filled(store: FeatureStore, key: FeatureKey, make_features: Callable[..., ClipFeatures]) -> Filled:
    def fill(clips: Mapping[str, Sequence[Sequence[float]]], view: Mapping[str, Any] = VIEW) -> Any:
        boxed = replace(key, view=view)
        with store.writer(boxed) as writer:
            for name, boxes in clips.items():
                per_frame = {"box": np.array(boxes, np.float32)}
                writer.add(make_features(name, frames=len(boxes), content=f"of {name}", per_frame=per_frame))
        return store, boxed

    return fill


def seen_against(name: str, others: Sequence[str]) -> SeenAgainst:
    return SeenAgainst(
        clip_id=name,
        fingerprint=f"of {name}",
        infrared=False,
        picture=np.zeros((2, 3), np.uint8),
        others=tuple(f"of {other}" for other in others),
        shifts=np.zeros((len(others), 2), np.float32),
        digest="",
    )


def clips_of(camera: str, count: int, with_branch: int) -> dict[str, list[Sequence[float]]]:
    """Clips of which the first have a box at the branch, a little moved, in two frames, and each has one of its own."""
    return {
        f"{camera}/{n}.mp4": [WHOLE, ELSEWHERE[n], *[moved(BRANCH, 0.005 * n)] * (2 if n < with_branch else 0)]
        for n in range(count)
    }


def test_a_box_that_stands_in_many_clips_is_listed_once_with_their_number(filled: Filled) -> None:
    store, key = filled({**clips_of("a", 8, 5), **clips_of("b", 8, 1)})
    (found,) = find_standing_boxes(store, key)
    assert (found.framing, found.clips, found.shown_in) == ("a/0.mp4", 8, 5)
    assert (found.left, found.top, found.right, found.bottom) == pytest.approx(BRANCH, abs=0.03)
    assert found.clip_id.startswith("a/")
    assert found.time_s == 1.0


def test_framings_that_the_store_found_out_count_and_not_folders(filled: Filled) -> None:
    store, key = filled({**clips_of("a", 4, 2), **clips_of("b", 4, 2), **clips_of("c", 8, 5)})
    camera = [f"{folder}/{n}.mp4" for folder in "ab" for n in range(4)]
    rows = [seen_against(name, [other for other in camera if other != name][:4]) for name in camera]
    alone = [seen_against(f"c/{n}.mp4", []) for n in range(8)]
    assert [each.framing for each in find_standing_boxes(store, key)] == ["c/0.mp4"]
    store.add_backgrounds(SETTINGS, [*rows, *alone])
    (found,) = find_standing_boxes(store, key)
    assert (found.framing, found.clips, found.shown_in) == ("a/0.mp4", 8, 4)


def test_too_few_clips_and_whole_frames_tell_nothing(filled: Filled) -> None:
    store, key = filled({**clips_of("a", 3, 3), **{f"b/{n}.mp4": [WHOLE] * 3 for n in range(8)}})
    assert find_standing_boxes(store, key) == []


def test_features_of_whole_frames_are_refused(store: FeatureStore, key: FeatureKey, make_features: Any) -> None:
    with store.writer(key) as writer:
        writer.add(make_features("a.mp4"))
    with pytest.raises(StoreRequestError, match="whole frames, without boxes"):
        find_boxed_key(store, "tiny")
    with pytest.raises(StoreRequestError, match="--view animal"):
        find_boxed_key(store, None)


def test_the_command_lists_places_with_a_clip_to_look_at(filled: Filled) -> None:
    store, _ = filled(clips_of("a", 8, 5))
    said = CliRunner().invoke(app, ["standing", "--store", str(store.root)])
    assert said.exit_code == 0, said.output
    assert "5 of 8   0." in said.stdout
    assert " at 1.0 s" in said.stdout
