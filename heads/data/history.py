"""How the training of a head went, epoch by epoch."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch of a head's training, as it is reported and logged.

    Attributes:
        number: of the epoch, from 1.
        epochs: how many there are going to be.
        losses: mean training loss of each member.
        rates: step size of each member.
        unlabelled: whether unlabelled clips were learned from.
        seconds: how long it took.
    """

    number: int
    epochs: int
    losses: tuple[float, ...]
    rates: tuple[float, ...]
    unlabelled: bool
    seconds: float

    @property
    def loss(self) -> float:
        """Mean loss of the members."""
        return sum(self.losses) / len(self.losses)

    def to_json_line(self, head: str) -> str:
        """The epoch of the head called `head` as a line of epochs.jsonl."""
        return json.dumps({"head": head, **asdict(self)}, allow_nan=False) + "\n"
