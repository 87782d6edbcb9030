"""Pictures of a clip's moments: one run of ffmpeg through the file, each picture handed on as it comes."""

import contextlib
import re
import subprocess
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from heads.report.thumbnails import thumbnails

WIDTH_PX = 800
_QUALITY = 5  # ffmpeg's scale for JPEG: 2 is best, 31 worst
_TIMEOUT_S = 60.0
_NEAR_S = 0.004
_MOST_BYTES = 256_000_000
_AT_ONCE = 2
_READ = 1 << 16
_BETWEEN = b"\xff\xd9\xff\xd8"  # the end of a JPEG and the beginning of the next; pixels hold no such bytes
_TIME = re.compile(rb"pts_time:\s*(-?[\d.]+)")


@dataclass
class Flipbook:
    """The pictures of a clip, as far as they are made.

    Attributes:
        pictures: JPEGs by the place of their moment, in the order they came.
        done: whether there will be no more.
    """

    pictures: list[tuple[int, bytes]] = field(default_factory=list)
    done: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def add(self, place: int, jpeg: bytes) -> None:
        """One more picture."""
        with self._changed:
            self.pictures.append((place, jpeg))
            self._changed.notify_all()

    def finish(self) -> None:
        """There will be no more."""
        with self._changed:
            self.done = True
            self._changed.notify_all()

    def after(self, number: int) -> list[tuple[int, bytes]]:
        """The pictures behind the first `number`, once there are any; none if there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.pictures) > number or self.done, _TIMEOUT_S + 10)
            return self.pictures[number:]

    @property
    def size_bytes(self) -> int:
        """Of all pictures."""
        return sum(len(jpeg) for _, jpeg in self.pictures)


class Flipbooks:
    """Makes flipbooks, and keeps those that were asked for last."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[tuple[str, int], Flipbook] = OrderedDict()
        self._lock = threading.Lock()
        self._places = threading.Semaphore(_AT_ONCE)

    def get(self, path: Path, times_s: Sequence[float], version: str) -> Flipbook:
        """The flipbook of a file, which may still be in the making.

        Args:
            path: the file.
            times_s: its moments.
            version: tells this file from another at the same place.
        """
        key = (f"{path}\n{version}", len(times_s))
        with self._lock:
            book = self._kept.pop(key, None)
            if book is None:
                book = Flipbook()
                threading.Thread(target=self._fill, args=(book, path, tuple(times_s)), daemon=True).start()
            self._kept[key] = book
            self._forget_some()
        return book

    def _fill(self, book: Flipbook, path: Path, times_s: tuple[float, ...]) -> None:
        try:
            with self._places:
                for place, jpeg in pictures(path, times_s):
                    book.add(place, jpeg)
        finally:
            book.finish()

    def _forget_some(self) -> None:
        spent = sum(book.size_bytes for book in self._kept.values())
        while spent > self._most_bytes and len(self._kept) > 1:
            _, book = self._kept.popitem(last=False)
            spent -= book.size_bytes


def pictures(path: Path, times_s: Sequence[float]) -> Iterator[tuple[int, bytes]]:
    """JPEGs of some moments of a video, each with the place of its moment; of a file that breaks off, those before.

    Where a file's times cannot be found again in one go, as where its clock falls back, moments are sought one by one.
    """
    if not path.is_file() or not times_s:
        return
    found: set[int] = set()
    for time_s, jpeg in _frames(path, times_s):
        place = min(range(len(times_s)), key=lambda each: abs(times_s[each] - time_s))
        if place not in found:
            found.add(place)
            yield place, jpeg
    if 2 * len(found) >= len(times_s):
        return
    missing = [place for place in range(len(times_s)) if place not in found]
    for place, sought in zip(missing, thumbnails([(path, times_s[place]) for place in missing], WIDTH_PX), strict=True):
        if sought is not None:
            yield place, sought


def _frames(path: Path, times_s: Sequence[float]) -> Iterator[tuple[float, bytes]]:
    """The frames of a video at some times, with the times that ffmpeg gives them."""
    import imageio_ffmpeg

    wanted = "+".join(f"lt(abs(t-{time_s:.4f})\\,{_NEAR_S})" for time_s in times_s)
    command = [
        *(imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-nostats", "-loglevel", "info"),
        *("-threads", "1", "-i", f"file:{path}", "-an", "-sn", "-dn"),
        *("-vf", f"select='{wanted}',scale='min({WIDTH_PX},iw)':-2,showinfo=checksum=0"),
        *("-fps_mode", "passthrough", "-c:v", "mjpeg", "-q:v", str(_QUALITY), "-f", "image2pipe", "pipe:1"),
    ]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        clock, log = threading.Timer(_TIMEOUT_S, process.kill), _Times(process)
        clock.start()
        try:
            for number, jpeg in enumerate(_split(process)):
                time_s = log.of(number)
                if time_s is None:
                    return
                yield time_s, jpeg
        finally:
            clock.cancel()
            process.kill()
            log.join()


class _Times(threading.Thread):
    """Reads what ffmpeg says of the frames that it hands on."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        self._log, self._times = process.stderr, list[float]()
        self._changed, self._over = threading.Condition(), False
        self.start()

    def run(self) -> None:
        """Read until ffmpeg ends."""
        with contextlib.suppress(ValueError, OSError):
            for line in self._log or ():
                found = _TIME.search(line) if b"showinfo" in line else None
                if found:
                    with self._changed:
                        self._times.append(float(found[1]))
                        self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def of(self, number: int) -> float | None:
        """The time of a frame, which is said before the frame comes; None if nothing is said of it."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._times) > number or self._over, _TIMEOUT_S)
            return self._times[number] if len(self._times) > number else None


def _split(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """The JPEGs that ffmpeg writes one behind the other; of one that breaks off, nothing."""
    rest = b""
    stream = process.stdout
    while stream is not None and (more := stream.read1(_READ)):  # type: ignore[attr-defined]
        rest += more
        *whole, rest = rest.split(_BETWEEN)
        for number, piece in enumerate(whole):
            yield (piece if number == 0 and piece.startswith(b"\xff\xd8") else b"\xff\xd8" + piece) + b"\xff\xd9"
        if whole:
            rest = b"\xff\xd8" + rest
        if rest.endswith(b"\xff\xd9") and rest.startswith(b"\xff\xd8"):
            yield rest
            rest = b""
