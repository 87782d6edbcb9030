import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_backbone import tiny_backbone

from featurize.decoding.ffmpeg import parse_probe
from featurize.errors import SettingsError
from featurize.motion.image_facts import difference_hash
from featurize.pipeline.source import FeatureSource
from featurize.views.resize import RESIZE_RULES, SQUARE_RULES, Canvas
from featurize.views.sampling import Sampling

PRINTED = """[info] Input #0, mov,mp4,m4a,3gp,3g2,mj2, from '/clips/a, b 1x1.mp4':
[info]   Metadata:
[info]     creation_time   : 2014-11-20T06:07:08.000000Z
[info]   Duration: 00:01:02.50, start: 0.000000, bitrate: 379 kb/s
[info]   Stream #0:0[0x1](und): Video: h264 (High) (avc1 / 0x31637661), yuv420p(progressive), 1280x720 [SAR 1:1 DAR 16:9], 339 kb/s, 29.97 fps, 24 tbr, 12288 tbn (default)
[info]   Stream #0:1[0x2](und): Audio: mp3 (mp3float) (mp4a / 0x6134706D), 44100 Hz, stereo
[mov @ 0x55d4] [error] stream 1, timescale not set
[error] At least one output file must be specified
"""  # noqa: E501


def test_what_ffmpeg_prints_is_understood() -> None:
    found = parse_probe(PRINTED)
    assert (found.container, found.codec, found.width, found.height) == ("mov,mp4,m4a,3gp,3g2,mj2", "h264", 1280, 720)
    assert (found.fps, found.duration_s, found.has_audio) == (29.97, 62.5, True)
    assert found.recorded_at == "2014-11-20T06:07:08.000000Z"
    assert found.errors == ("stream 1, timescale not set",)


def test_a_clock_that_was_never_set_is_no_recording_time() -> None:
    assert parse_probe(PRINTED.replace("2014-11-20T06", "1970-01-01T00")).recorded_at == ""


def test_nothing_printed_gives_nothing() -> None:
    found = parse_probe("")
    assert (found.container, found.codec, found.width, found.recorded_at) == ("", "", -1, "")
    assert np.isnan(found.fps)
    assert np.isnan(found.duration_s)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((320, 240), (192, 256)), ((1280, 720), (160, 288)), ((720, 1280), (288, 160)), ((64, 64), (224, 224))],
)
def test_common_shapes_at_224_px(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert Canvas(px=224).shape_for(*size) == expected


@given(st.integers(96, 600), st.integers(40, 4000), st.integers(40, 4000))
def test_the_shape_keeps_aspect_and_area(px: int, width: int, height: int) -> None:
    rows, columns = Canvas(px=px).shape_for(width, height)
    assert rows % 16 == columns % 16 == 0
    # A 16 px grid is coarse for the short side of a long picture in a small input.
    low, high = (0.75, 1.25) if px >= 160 else (0.65, 1.4)
    assert low < rows * columns / px**2 < high
    aspect = min(max(width / height, 1 / 4), 4)
    assert 0.85 < columns / rows / aspect < 1.18


def test_a_frame_of_the_right_size_is_not_touched() -> None:
    frame = np.random.default_rng(0).integers(0, 255, (192, 256, 3), np.uint8)
    np.testing.assert_array_equal(Canvas(px=224).fit(frame), frame)


def stripes(height: int, width: int) -> NDArray[np.uint8]:
    """Dark at the two ends of the longer side, a quarter each, and bright between."""
    frame = np.full((height, width, 3), 200, np.uint8)
    if width > height:
        frame[:, : width // 4] = frame[:, -width // 4 :] = 50
    else:
        frame[: height // 4] = frame[-height // 4 :] = 50
    return frame


@pytest.mark.parametrize("shape", [(200, 400), (400, 200)])
def test_square_rules_show_what_they_promise(shape: tuple[int, int]) -> None:
    """A picture of 1 to 2: squashing keeps its quarters, the crop has only the middle half, the letterbox has bars."""
    seen = {rule: Canvas(px=64, rule=rule).fit(stripes(*shape)) for rule in SQUARE_RULES}
    along = {rule: picture[..., 0].mean(axis=int(shape[0] < shape[1]) ^ 1) for rule, picture in seen.items()}
    across = {rule: picture[..., 0].mean(axis=int(shape[0] < shape[1])) for rule, picture in seen.items()}
    assert all(picture.shape == (64, 64, 3) for picture in seen.values())
    assert (along["squash"] < 125).tolist() == [True] * 16 + [False] * 32 + [True] * 16
    assert (along["centre_crop"][2:-2] > 190).all()
    assert (across["letterbox"] == 0).tolist() == [True] * 16 + [False] * 32 + [True] * 16
    assert (seen["squash"] > 0).all()


def test_a_resize_rule_is_part_of_the_key() -> None:
    canvases = [Canvas(px=64, rule=rule) for rule in RESIZE_RULES]
    keys = {FeatureSource(backbone=tiny_backbone(), canvas=canvas).key(Sampling(fps=1)).digest for canvas in canvases}
    assert len(keys) == len(RESIZE_RULES) == 4


def test_impossible_canvases_are_refused() -> None:
    with pytest.raises(
        SettingsError, match="rule 'stretch' is unknown, expected one of equal_area, squash, centre_crop, letterbox"
    ):
        Canvas(px=224, rule="stretch")
    with pytest.raises(SettingsError, match="3 px is outside"):
        Canvas(px=3)


def test_the_difference_hash_survives_scaling_and_light_and_tells_pictures_apart() -> None:
    rng = np.random.default_rng(0)
    picture = rng.random((9, 12)).repeat(8, 0).repeat(8, 1).astype(np.float32)
    same = int(difference_hash(picture), 16) ^ int(difference_hash(picture[::2, ::2] * 0.7), 16)
    other = int(difference_hash(picture), 16) ^ int(difference_hash(picture[::-1]), 16)
    assert same.bit_count() <= 4
    assert other.bit_count() >= 16
