"""Reading ahead: the next batches are read while one is being learned from."""

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
_WAIT_S = 0.1


class _End:
    """The end of the items, and the error that ended them, if one did."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def read_ahead(items: Iterable[Item], ahead: int = 2) -> Iterator[Item]:
    """The same items in the same order, made in a thread of their own, at most `ahead` of them before they are wanted.

    An error while making an item is raised where that item was due. The thread ends when the iterator is closed.
    """
    made: queue.Queue[Item | _End] = queue.Queue(ahead)
    closed = threading.Event()

    def put(item: Item | _End) -> None:
        placed = False
        while not placed and not closed.is_set():
            with contextlib.suppress(queue.Full):
                made.put(item, timeout=_WAIT_S)
                placed = True

    def make() -> None:
        end = _End()
        try:
            for item in items:
                put(item)
                if closed.is_set():
                    return
        except BaseException as error:  # noqa: BLE001  raised again where the item was due
            end = _End(error)
        put(end)

    thread = threading.Thread(target=make, name="read ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := made.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        closed.set()
        thread.join()
