"""What is said while heads train."""

import io

import pytest
from rich.console import Console

import heads.watch
from heads.progress import Epoch
from heads.watch import watched


def epoch(number: int, seconds: float = 5.0) -> Epoch:
    return Epoch(number=number, epochs=20, losses=(0.2, 0.4), rates=(0.1, 0.1), unlabelled=False, seconds=seconds)


def test_a_log_gets_the_first_and_last_epoch_and_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(heads.watch.time, "monotonic", lambda: now[0])
    said = io.StringIO()
    with watched(Console(file=said), 20) as show:
        for number in range(1, 21):
            now[0] += 7.0
            show("attention-made", epoch(number))
    assert said.getvalue().splitlines() == [
        "attention-made: epoch 1 of 20, loss 0.3000, 0:01:35 left",
        "attention-made: epoch 6 of 20, loss 0.3000, 0:01:10 left",
        "attention-made: epoch 11 of 20, loss 0.3000, 0:00:45 left",
        "attention-made: epoch 16 of 20, loss 0.3000, 0:00:20 left",
        "attention-made: epoch 20 of 20, loss 0.3000",
    ]


def test_a_bar_leaves_out_what_was_done_before() -> None:
    said = io.StringIO()
    with watched(Console(file=said, force_terminal=True, width=120), 40) as show:
        for number in range(13, 21):
            show("resumed", epoch(number))
        for number in range(1, 21):
            show("fresh", epoch(number))
    assert "fresh epoch 20 of 20 loss 0.3000" in said.getvalue()
    assert "28/28" in said.getvalue()
