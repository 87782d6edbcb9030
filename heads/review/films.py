"""Clips as films that a browser plays: as they are where it can, else encoded anew, into a cache with a limit."""

import hashlib
import os
import re
import subprocess
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

import platformdirs

from heads.errors import ReviewError
from store.files import atomic_path, remove_abandoned

FOLDER_VARIABLE = "TRAPLINE_CACHE"
MOST_BYTES = 2_000_000_000
TIMEOUT_S = 60.0
_WAIT_S = 180.0
_WIDTH_PX = 1280
_PROBE_TIMEOUT_S = 20.0

# What browsers play as it is: containers as ffmpeg names them, and the codecs in them that are not a matter of luck.
_PLAYED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"mp4": ("h264", "av1", "vp9"), "webm": ("vp8", "vp9", "av1"), "matroska": ()}
)
_MEDIA_TYPES: Mapping[str, str] = MappingProxyType({".webm": "video/webm"})
# For each form that can be asked for: its ending, its encoders, best first, with what each is told.
FORMS: Mapping[str, tuple[str, Mapping[str, tuple[str, ...]]]] = MappingProxyType(
    {
        "h264": (
            ".mp4",
            MappingProxyType(
                {
                    "libx264": ("-preset", "veryfast", "-crf", "26", "-movflags", "+faststart"),
                    "libopenh264": ("-b:v", "1500k", "-movflags", "+faststart"),
                }
            ),
        ),
        "vp9": (
            ".webm",
            MappingProxyType(
                {
                    "libvpx-vp9": ("-deadline", "realtime", "-cpu-used", "8", "-row-mt", "1", "-b:v", "1500k"),
                    "libvpx": ("-deadline", "realtime", "-cpu-used", "8", "-b:v", "1500k"),
                }
            ),
        ),
    }
)


def plays_as_it_is(container: str, codec: str) -> bool:
    """Whether a browser is likely to play a file, by ffmpeg's names of its container and codec."""
    return any(codec in _PLAYED.get(name, ()) for name in container.split(","))


def media_type(path: Path) -> str:
    """What a film is called when it is served. A QuickTime file with a codec that browsers know plays as MP4."""
    return _MEDIA_TYPES.get(path.suffix.lower(), "video/mp4")


def default_folder() -> Path:
    """Where films are kept: in what the variable TRAPLINE_CACHE names, else in the user's folder for caches."""
    named = os.environ.get(FOLDER_VARIABLE)
    return (Path(named) if named else Path(platformdirs.user_cache_dir("trapline"))) / "films"


class Films:
    """Encodes clips for browsers, one at a time, and keeps the films that were asked for last.

    Args:
        folder: where they are kept.
        most_bytes: how much of them is kept.
        timeout_s: after how long an encoding is ended.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES, timeout_s: float = TIMEOUT_S) -> None:
        self._folder, self._most_bytes, self._timeout_s = folder, most_bytes, timeout_s
        self._one = threading.Lock()

    def get(self, path: Path, fingerprint: str, form: str) -> Path:
        """The whole film of a clip, made now if it is not there.

        Args:
            path: the clip.
            fingerprint: of its content, under which its film is kept.
            form: one of `FORMS`.

        Raises:
            ReviewError: it cannot be made, or takes too long.
        """
        ending, encoders = FORMS[form]
        film = self._folder / f"{_name(path, fingerprint)}{ending}"
        if self._is_there(film):
            return film
        encoder = next((name for name in encoders if name in known_encoders()), None)
        if encoder is None:
            raise ReviewError(
                f"this ffmpeg has none of the encoders {', '.join(encoders)}, so {path.name} is not played"
            )
        if not self._one.acquire(timeout=_WAIT_S):
            raise ReviewError(f"{path.name}: other clips are being encoded; try again in a minute")
        try:
            if not self._is_there(film):
                self._make_room()
                self._encode(path, film, encoder, encoders[encoder])
        finally:
            self._one.release()
        return film

    def _is_there(self, film: Path) -> bool:
        try:
            os.utime(film)  # which of them was asked for last
        except OSError:
            return False
        return True

    def _encode(self, path: Path, film: Path, encoder: str, told: tuple[str, ...]) -> None:
        with atomic_path(film) as temporary:
            command = [
                *(_ffmpeg(), "-nostdin", "-loglevel", "error", "-y", "-i", f"file:{path}", "-an", "-sn", "-dn"),
                *(
                    "-vf",
                    f"scale='min({_WIDTH_PX},iw)':-2,scale='trunc(iw/2)*2':'trunc(ih/2)*2'",
                    "-pix_fmt",
                    "yuv420p",
                ),
                *("-c:v", encoder, *told, str(temporary)),
            ]
            try:
                done = subprocess.run(
                    command, stdin=subprocess.DEVNULL, capture_output=True, timeout=self._timeout_s, check=False
                )
            except subprocess.TimeoutExpired as error:
                raise ReviewError(
                    f"{path.name}: encoding took more than {self._timeout_s:.0f} s and was ended; its frames are shown"
                ) from error
            if done.returncode or not temporary.is_file() or not temporary.stat().st_size:
                said = done.stderr.decode(errors="replace").strip().splitlines()
                raise ReviewError(f"{path.name}: cannot be encoded ({said[-1] if said else 'no picture'})")

    def _make_room(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(self._folder)
        films = [(each, each.stat()) for each in self._folder.iterdir() if each.suffix in (".mp4", ".webm")]
        spent = sum(facts.st_size for _, facts in films)
        for each, facts in sorted(films, key=lambda film: film[1].st_mtime):
            if spent <= self._most_bytes:
                return
            each.unlink(missing_ok=True)
            spent -= facts.st_size


@cache
def known_encoders() -> frozenset[str]:
    """The names of the video encoders that the ffmpeg at hand has."""
    try:
        told = subprocess.run(
            [_ffmpeg(), "-hide_banner", "-encoders"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        ).stdout.decode(errors="replace")
    except (OSError, subprocess.TimeoutExpired):
        return frozenset()
    return frozenset(re.findall(r"^ V\S{5} (\S+)", told, re.MULTILINE))


def _ffmpeg() -> str:
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def _name(path: Path, fingerprint: str) -> str:
    """What a film is kept under: the content of its clip, or where that is not known, its place."""
    return fingerprint or hashlib.sha256(str(path).encode(errors="surrogateescape")).hexdigest()[:32]
