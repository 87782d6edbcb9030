"""Frames as a source: the store keeps what a network would have been shown, as JPEG files."""

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import moving
import numpy as np
import pytest
from golden_pixels import golden_pixels
from indexed_clips import index_of, write_indexed_clip
from numpy.typing import NDArray
from PIL import Image

import featurize
from featurize.backbones.builders.pictures import encode_picture
from featurize.backbones.registry import find_backbone
from featurize.backbones.weights import locate_weights
from featurize.demo.scenes import write_video
from featurize.pipeline.source import make_source
from store import FeatureReader, FeatureStore, Status
from store.maintenance.verify import verify_store


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A clip of six frames, one of three, one that is none."""
    for name, count in (("long", 6), ("short", 3)):
        write_indexed_clip(tmp_path / "clips" / f"{name}.mp4", count, fps=2)
    (tmp_path / "clips" / "torn.mp4").write_bytes(b"no film")
    return tmp_path / "clips"


def run(clips: Path, root: Path, source: str = "frames", **settings: Any) -> FeatureReader:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", featurize.FeaturizeWarning)  # one clip is meant to fail
        featurize.run(clips, root, backbones="frames", progress=False, **settings)
    store = FeatureStore.open(root)
    assert verify_store(root).problems == []
    return store.reader(store.find(source))


def decode(picture: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(BytesIO(picture)))


def test_every_sampled_frame_is_kept_in_the_size_of_networks(clips: Path, tmp_path: Path) -> None:
    reader = run(clips, tmp_path / "store", frames=6, input_px=64)
    assert reader.ids == ["long.mp4", "short.mp4", "torn.mp4"]
    assert reader.status == [Status.OK, Status.SHORT, Status.FAILED]
    pictures = [[decode(picture) for picture in reader.pictures(place)] for place in range(3)]
    assert [[index_of(frame) for frame in clip] for clip in pictures] == [[0, 1, 2, 3, 4, 5], [0, 1, 2], []]
    assert {frame.shape for clip in pictures for frame in clip} == {(48, 64, 3)}  # as wide and as high as it was
    features, _ = reader.batch([0])
    np.testing.assert_allclose(features[0], [frame.mean(axis=(0, 1)) / 255 for frame in pictures[0]], atol=0.01)
    assert reader.per_frame("motion_energy", 0) is not None


def test_the_same_clip_gives_the_same_bytes(clips: Path, tmp_path: Path) -> None:
    first, again = (run(clips, tmp_path / name, frames=4) for name in ("one", "two"))
    for place in range(3):
        assert first.pictures(place) == again.pictures(place)


def test_a_view_keeps_a_picture_for_each_part_that_it_shows(tmp_path: Path) -> None:
    frames = moving.as_pixels(moving.clip(moving.walk()))
    (tmp_path / "clips").mkdir()
    write_video(tmp_path / "clips" / "walk.mp4", iter(frames), fps=moving.FPS)
    reader = run(tmp_path / "clips", tmp_path / "store", "frames+motion", views=["motion"], frames=8, input_px=64)
    boxes, pictures = reader.per_frame("box", 0), reader.pictures(0)
    assert boxes is not None
    assert len(boxes) == len(pictures) == reader.lengths[0]
    assert (boxes != (0, 0, 1, 1)).any()
    for time_s, box, picture in zip(reader.times(0), boxes, pictures, strict=True):
        left, top, right, bottom = np.round(box * [moving.WIDTH, moving.HEIGHT, moving.WIDTH, moving.HEIGHT]).astype(
            int
        )
        seen = decode(picture)
        wanted = Image.fromarray(frames[round(time_s * moving.FPS)]).crop((left, top, right, bottom))
        assert np.abs(np.asarray(wanted.resize(seen.shape[1::-1])).astype(int) - seen).mean() < 9


def test_pictures_are_close_to_what_a_network_would_see() -> None:
    frame = golden_pixels(160, 224)
    assert np.abs(decode(encode_picture(frame)).astype(int) - frame).mean() < 6


def test_the_cost_of_pictures_is_told_before_they_are_made(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "clips" / "torn.mp4").unlink()
    plan = featurize.plan(clips, tmp_path / "store", backbones="frames", frames=6)
    assert featurize.estimate_cost(plan).disk_bytes == pytest.approx(9 * 224**2 / 4, rel=0.4)


def test_pictures_have_no_precision_to_choose() -> None:
    row = find_backbone("frames")
    assert make_source(row, locate_weights(row), precision="bf16") == make_source(row, locate_weights(row))
