import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurize.errors import SettingsError
from featurize.facts import difference_hash
from featurize.ffmpeg import parse_probe
from featurize.resize import Canvas

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
    assert 0.7 < rows * columns / px**2 < 1.4
    aspect = min(max(width / height, 1 / 4), 4)
    assert 0.85 < columns / rows / aspect < 1.18


def test_a_frame_of_the_right_size_is_not_touched() -> None:
    frame = np.random.default_rng(0).integers(0, 255, (192, 256, 3), np.uint8)
    np.testing.assert_array_equal(Canvas(px=224).fit(frame), frame)


def test_impossible_canvases_are_refused() -> None:
    with pytest.raises(SettingsError, match="rule 'stretch' is unknown, expected one of equal_area"):
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
