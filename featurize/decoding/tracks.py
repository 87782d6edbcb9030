"""Which of a container's video tracks is the picture: cameras and editors put thumbnails and previews beside it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_VIDEO = re.compile(r"Stream #0:(?P<index>\d+)[^\n]*?: Video: (?P<codec>\w+)(?P<rest>[^\n]*)")
_OUTPUT_BEGINS = re.compile(r"Stream mapping:|Output #0")
_PIXELS = re.compile(r", (\w+)(?:\([^)]*\))?, \d{1,5}x\d{1,5}[\s,]")
_SIZE = re.compile(r", (\d{1,5})x(\d{1,5})[\s,]")
_PACKETS = re.compile(r"Input stream #0:(\d+) \(video\): (\d+) packets read")
_ATTACHED = "(attached pic)"
_DEFAULT = "(default)"


@dataclass(frozen=True, kw_only=True)
class VideoTrack:
    """A video track, as ffmpeg prints it.

    Attributes:
        index: its number among all of the container's streams.
        codec: ffmpeg's name of its codec.
        rest: what else is printed of it.
        width: pixels as coded, -1 where none are stated.
        height: pixels as coded, -1 where none are stated.
        pixel_format: ffmpeg's name of how its pixels are laid out, "" where none is stated.
    """

    index: int
    codec: str
    rest: str
    width: int = -1
    height: int = -1
    pixel_format: str = ""

    @property
    def rank(self) -> tuple[bool, int, int]:
        """What a player goes by: the default one, else the largest, else the first."""
        return _DEFAULT in self.rest, max(0, self.width) * max(0, self.height), -self.index


def video_tracks(log: str) -> list[VideoTrack]:
    """The video tracks of the input in what ffmpeg printed of it; pictures that are attached to it are none."""
    output = _OUTPUT_BEGINS.search(log)
    found = _VIDEO.finditer(log[: output.start()] if output else log)
    tracks = {int(match["index"]): _track(match) for match in found if _ATTACHED not in match["rest"]}
    return list(tracks.values())


def _track(match: re.Match[str]) -> VideoTrack:
    rest = match["rest"] + ","
    size, pixels = _SIZE.search(rest), _PIXELS.search(rest)
    width, height = (int(size[1]), int(size[2])) if size else (-1, -1)
    return VideoTrack(
        index=int(match["index"]),
        codec=match["codec"],
        rest=rest,
        width=width,
        height=height,
        pixel_format=pixels[1] if pixels else "",
    )


def packets_read(log: str) -> dict[int, int]:
    """How many packets of each video track ffmpeg read, where it was asked to say so (`-loglevel verbose`)."""
    return {int(index): int(count) for index, count in _PACKETS.findall(log)}


def choose_track(tracks: Sequence[VideoTrack], packets: Mapping[int, int]) -> VideoTrack | None:
    """The track that a player would show; one of a single frame only if no other has more. None if there is none."""
    moving = [track for track in tracks if packets.get(track.index, 2) > 1]
    return max(moving or tracks, key=lambda track: track.rank, default=None)
