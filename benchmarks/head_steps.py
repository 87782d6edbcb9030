"""Where the time of one training step goes, beside what the machine could do at best."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from heads.models.layers import attend_together
from heads.trainers.trainer import Trainer

ROUNDS = 5


def best(action: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Seconds of the best of some rounds, after one that does not count."""
    action()
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        action()
        found.append(time.perf_counter() - started)
    return min(found)


def machine_limits() -> dict[str, float]:
    """The best matrix product (GFLOP/s) and the best copy (GB/s, read and written) of this machine."""
    square = tf.random.normal((2048, 2048))
    block = np.ones(2**26, np.float32)
    into = np.empty_like(block)
    product = tf.function(lambda: tf.matmul(square, square)[0, 0])
    return {
        "peak_gflops": 2 * 2048**3 / best(lambda: product().numpy()) / 1e9,
        "peak_gb_per_s": 2 * block.nbytes / best(lambda: np.copyto(into, block)) / 1e9,
    }


def batched_over_separate(members: int, rows: int, columns: int, units: int) -> float:
    """How much longer one batched product with a member axis takes, forward and backward, than a product a member."""
    given = tf.random.normal((members, rows, columns))
    kernels = tf.Variable(tf.random.normal((members, columns, units)))
    parts, own = tf.unstack(given), [tf.Variable(each) for each in tf.unstack(kernels)]
    separate = _with_gradient(lambda: [tf.matmul(*pair) for pair in zip(parts, own, strict=True)], own)
    return best(_with_gradient(lambda: [tf.matmul(given, kernels)], [kernels])) / best(separate)


def step_table(title: str, trainer: Trainer, limits: dict[str, float]) -> str:
    """Milliseconds of each stage of a step alone, what it computes and moves, and its share of the limits.

    Products count 2 operations forward and 4 more backward. A stage moves what it must read and write at least.
    """
    members, examples = trainer.members, trainer.task.examples
    places, weights, _ = trainer.sampler.batches(0)[0]
    batch = examples.batch(places)
    rows = [np.flatnonzero(each > 0) for each in weights]
    stages: list[tuple[str, float, float, float]] = [
        ("read", best(lambda: examples.batch(places)), 0.0, 2.0 * sum(each.nbytes for each in batch.values()))
    ]
    pooled: list[Any] = []
    if examples.sees_frames:
        half, mask = tf.constant(batch["features"]), tf.constant(batch["mask"])
        cast = tf.function(lambda: tf.cast(half, tf.float32))
        frames = cast()
        stages.append(("cast", best(cast), 0.0, 1.5 * float(frames.numpy().nbytes)))
        fronts = [head.front for head in members.heads]
        queries = sum(front.queries for front in fronts)
        stages.append(
            (
                "pooling",
                best(_with_gradient(lambda: attend_together(fronts, frames, mask), _weights(fronts))),
                8.0 * frames.shape.num_elements() * queries,
                4.0 * float(frames.numpy().nbytes),
            )
        )
        pooled = [
            front.finish(each, mask) for front, each in zip(fronts, attend_together(fronts, frames, mask), strict=True)
        ]
    tails = [head.tail for head in members.heads]
    given = [
        {name: tf.gather(pooled[place] if name == "pooled" else batch[name], rows[place]) for name in tail.input}
        for place, tail in enumerate(tails)
    ]
    pairs = list(zip(tails, given, strict=True))
    kernels = [each for tail in tails for each in _weights([tail]) if len(each.shape) == 2]
    work = 6.0 * float(np.mean([len(each) for each in rows])) * sum(each.shape.num_elements() for each in kernels)
    stages.append(
        (
            "dense",
            best(_with_gradient(lambda: [tail(each, training=True) for tail, each in pairs], _weights(tails))),
            work,
            3 * 4.0 * sum(each.shape.num_elements() for each in kernels),
        )
    )
    weights_of = _weights([head.model for head in members.heads])
    gradients = [tf.zeros_like(each) for each in weights_of]
    update = tf.function(lambda: members.optimiser.apply(gradients, [tf.constant(0.0)] * len(gradients)))
    moved = 7 * 4.0 * sum(each.shape.num_elements() for each in weights_of)
    stages.append(("optimiser", best(update), 0.0, moved))
    return _table(title, stages, limits)


def _weights(parts: list[Any]) -> list[Any]:
    return [each.value for part in parts for each in part.trainable_variables]


def _with_gradient(forward: Callable[[], list[Any]], weights: list[Any]) -> Callable[[], object]:
    @tf.function
    def both() -> Any:
        with tf.GradientTape() as tape:
            total = tf.add_n([tf.reduce_sum(each) for each in forward()])
        # The norms of the gradients, so that none of them is optimised away.
        return [tf.reduce_max(each) for each in tape.gradient(total, weights) if each is not None]

    return both


def _table(title: str, stages: list[tuple[str, float, float, float]], limits: dict[str, float]) -> str:
    total = sum(seconds for _, seconds, _, _ in stages)
    lines = [title, "stage          ms  share  of product peak  of bandwidth"]
    for name, seconds, operations, moved in stages:
        product = operations / seconds / 1e9 / limits["peak_gflops"]
        bandwidth = moved / seconds / 1e9 / limits["peak_gb_per_s"]
        lines.append(f"{name:10s} {1000 * seconds:6.1f}  {seconds / total:5.0%}  {product:15.0%}  {bandwidth:12.0%}")
    return "\n".join([*lines, f"all stages {1000 * total:6.1f}"])
