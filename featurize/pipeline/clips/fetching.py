"""Remote clips are fetched ahead of decoding, in turn, so that it does not wait for the network."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from threading import Event
from types import TracebackType

from featurize.pipeline.discover import Clip
from featurize.remote.listing import RemoteFile
from featurize.remote.scratch import Place
from featurize.remote.transfer import UnreachableError, fetch

_FETCHING = 4


@contextmanager
def fetch_ahead(clips: Sequence[Clip], ahead: int) -> Iterator[Iterator[AbstractContextManager[Path]]]:
    """Where each of `clips` can be read while it is entered, in order.

    Remote ones are on their way when they are asked for, `ahead` of them beyond those that were given out, within the
    room of their scratch. Whoever enters one waits for it.

    Args:
        clips: here or elsewhere.
        ahead: how many are fetched before they are asked for.
    """
    if all(clip.remote is None for clip in clips):
        yield (clip.on_disk() for clip in clips)
        return
    stop = Event()
    given: deque[_Fetched] = deque()

    def give_out(pool: ThreadPoolExecutor) -> Iterator[AbstractContextManager[Path]]:
        waiting: deque[AbstractContextManager[Path]] = deque()
        for clip in clips:
            if clip.remote is None:
                waiting.append(clip.on_disk())
            else:
                given.append(_Fetched(clip.remote, pool, stop))
                waiting.append(given[-1])
            while given and given[0].is_left:
                given.popleft()
            if len(waiting) > ahead:
                yield waiting.popleft()
        yield from waiting

    with ThreadPoolExecutor(_FETCHING, thread_name_prefix="fetch") as pool:
        try:
            yield give_out(pool)
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
            for each in given:
                each.drop()


class _Fetched:
    """A remote clip on its way. Its place in the scratch is asked for at once: clips get room in their order."""

    def __init__(self, file: RemoteFile, pool: ThreadPoolExecutor, stop: Event) -> None:
        self._file = file
        self._stop = stop
        self._place: Place = file.root.scratch.ask(file.size_bytes)
        self._coming: Future[Path] = pool.submit(self._fetch)
        self.is_left = False

    def _fetch(self) -> Path:
        file = self._file
        path = self._place.take(PurePosixPath(file.name).suffix, self._stop.is_set)
        if path is None or self._stop.is_set():
            raise UnreachableError("nobody waits for it any more")
        fetch(file.root, file.path, file.size_bytes, path, most_bytes=self._place.size_bytes, stop=self._stop)
        return path

    def drop(self) -> None:
        """Nobody wants it any more, and it is not coming."""
        if not self.is_left:
            self._leave()

    def __enter__(self) -> Path:
        try:
            return self._coming.result()
        except BaseException:
            self._leave()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self._place.leave()
        self.is_left = True
