"""Training again beside the page: one at a time, loaded ahead where somebody is about to order it."""

import time
from pathlib import Path

import numpy as np
import pytest
from made_store import make_store

from heads.data.decisions import Decisions
from heads.errors import ReviewError
from heads.review.retraining import Retraining
from heads.workflows.training.retrain import Order

pytestmark = pytest.mark.slow

WAIT_S = 120


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """An order that cannot be carried out, since nothing is labelled: it is told so once the process took it."""
    make_store(tmp_path / "store", np.ones((3, 2), np.uint8))
    return Order(store=tmp_path / "store", before=None, after=tmp_path / "run", decisions=Decisions())


def told(retraining: Retraining) -> str:
    end = time.monotonic() + WAIT_S
    while (state := retraining.state())["state"] == "running":
        assert time.monotonic() < end
        time.sleep(0.05)
    return f"{state['state']}: {state['text']}"


def test_the_process_that_was_prepared_takes_the_order_and_one_that_died_is_replaced(order: Order) -> None:
    retraining = Retraining(lambda _: None)
    retraining.prepare()
    retraining.prepare()  # the same, still
    assert retraining._ready is not None
    prepared = retraining._ready[0]
    retraining.start(order)
    assert retraining._process is prepared
    with pytest.raises(ReviewError, match="running already"):
        retraining.start(order)
    assert told(retraining).startswith("failed: no clip of the store is labelled yet")
    prepared.join(WAIT_S)

    retraining.prepare()
    dead = retraining._ready[0]
    dead.kill()
    dead.join(WAIT_S)
    retraining.start(order)
    assert retraining._process is not dead
    assert told(retraining).startswith("failed: no clip of the store is labelled yet")


def test_what_was_prepared_ends_with_the_server() -> None:
    retraining = Retraining(lambda _: None)
    retraining.prepare()
    assert retraining._ready is not None
    process = retraining._ready[0]
    retraining.stop()
    process.join(WAIT_S)
    assert not process.is_alive()
