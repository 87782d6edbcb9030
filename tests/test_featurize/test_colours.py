"""Pixels as the decoder gives them become the same colours, whichever way is the quicker one."""

import subprocess

import pytest

from featurize.decoding.ffmpeg import ffmpeg_command, parse_probe
from featurize.decoding.video import SCALE_FLAGS, colours

PLANAR = ("yuv420p", "yuvj420p", "yuvj422p", "yuvj444p", "yuv420p10le", "yuv411p", "nv12", "gray")


def pictures(pixel_format: str, filters: str) -> bytes:
    """Noisy pictures of an odd size in a pixel format, as RGB that `filters` make of them."""
    source = f"testsrc2=s=320x240:r=2:d=1,noise=alls=60:allf=t,scale=w=321:h=241,format={pixel_format}"
    words = ["-f", "lavfi", "-i", source, "-vf", filters, "-f", "rawvideo", "pipe:1"]
    return subprocess.run([*ffmpeg_command(), *words], check=True, capture_output=True).stdout


@pytest.mark.parametrize("pixel_format", [*PLANAR, "rgb24", "rgb555le", "pal8"])
def test_colours_are_those_of_the_direct_way_to_the_bit(pixel_format: str) -> None:
    direct = pictures(pixel_format, f"scale=flags={SCALE_FLAGS},format=rgb24")
    assert len(direct) == 2 * 321 * 241 * 3
    assert pictures(pixel_format, colours(pixel_format)) == direct


def test_only_pixels_that_gain_by_it_go_plane_by_plane() -> None:
    assert [name for name in (*PLANAR, "rgb24", "rgb555le", "pal8", "") if "gbrp" in colours(name)] == [*PLANAR]


@pytest.mark.parametrize(
    ("printed", "pixel_format"),
    [
        ("h264 (High) (avc1 / 0x31637661), yuv420p(tv, bt709, progressive), 1280x720 [SAR 1:1 DAR 16:9]", "yuv420p"),
        ("mjpeg (Baseline) (MJPG / 0x47504A4D), yuvj422p(pc, bt470bg/unknown/unknown), 640x480, 30 fps", "yuvj422p"),
        ("rawvideo, bgr24, 64x48", "bgr24"),
        ("h264 (avc1 / 0x31637661), none, 64x48", "none"),
        ("h264 (avc1 / 0x31637661), none", ""),
    ],
)
def test_the_pixel_format_is_read(printed: str, pixel_format: str) -> None:
    assert parse_probe(f"[info]   Stream #0:0[0x1](und): Video: {printed}\n").pixel_format == pixel_format
