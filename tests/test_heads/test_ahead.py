import threading
import time
from collections.abc import Iterator

import pytest

from heads.data.features.prefetch import read_ahead


def test_items_come_in_order_and_no_more_than_asked_for_are_made() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            yield number

    ahead = read_ahead(items(), ahead=2)
    assert next(ahead) == 0
    time.sleep(0.3)
    assert len(made) <= 5
    assert list(ahead) == list(range(1, 10))


def test_an_error_comes_where_its_item_was_due() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    ahead = read_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(ahead)


def test_leaving_early_leaves_no_thread() -> None:
    makers: list[threading.Thread] = []

    def items() -> Iterator[int]:
        makers.append(threading.current_thread())
        yield from range(1000)

    ahead = read_ahead(items())
    next(ahead)
    (maker,) = makers
    assert maker is not threading.current_thread()
    assert maker.is_alive()
    ahead.close()  # type: ignore[attr-defined]
    assert not maker.is_alive()
