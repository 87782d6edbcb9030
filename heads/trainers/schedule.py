"""Settings that follow the epochs, or the number of clips: learning rates, dropout and weight decay."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from heads.recipe import HeadConfig

_FEWER_DROPPED = 0.2
_FEWER_EPOCHS = 2 / 3
_FEWEST_EPOCHS = 3
_DECAYS = 24


def learning_rates(config: HeadConfig, losses: Sequence[NDArray[np.float64]], members: int) -> NDArray[np.float64]:
    """Each member's step size (K,) for the next epoch, from the training losses (K,) of those before.

    Along a cosine, or shorter each time a member's training loss has not fallen for some epochs. The scored fold's
    loss is not looked at: it would choose the model that it then scores. Learning from unlabelled clips goes on with a
    tenth of the first step size where the cosine has come to its end. Epochs of the output layer alone have a step size
    of their own.
    """
    done = len(losses)
    if done < config.head_epochs:
        return np.full(members, config.head_rate)
    if config.schedule == "cosine":
        first, span = (1.0, config.epochs) if done < config.epochs else (0.1, max(config.pseudo_epochs, 1))
        passed = done if done < config.epochs else done - config.epochs
        rate = config.learning_rate * first * (1 + math.cos(math.pi * min(passed / span, 1.0))) / 2
        return np.full(members, rate)
    rates = np.full(members, config.learning_rate)
    best, flat = np.full(members, np.inf), np.zeros(members, np.int64)
    for loss in losses:
        better = loss < best
        best, flat = np.where(better, loss, best), np.where(better, 0, flat + 1)
        shorten = (flat > 0) & (flat % config.plateau_epochs == 0)
        rates = np.where(shorten, np.maximum(rates * config.plateau_factor, config.least_learning_rate), rates)
    return rates


def scale_dropout(config: HeadConfig, clips: int) -> HeadConfig:
    """The recipe's settings for members that learn from `clips` clips: with less dropout where there are many."""
    if not 0 < config.few_clips < clips:
        return config
    return config.model_copy(update={"dropout": config.dropout * (config.few_clips / clips) ** _FEWER_DROPPED})


def scale_length(config: HeadConfig, clips: int) -> HeadConfig:
    """The recipe's settings for members that learn from `clips` clips: fewer epochs of larger batches where there are
    many.
    """
    if not 0 < config.many_clips < clips:
        return config
    times = (clips / config.many_clips) ** _FEWER_EPOCHS
    epochs = max(min(config.epochs, _FEWEST_EPOCHS), round(config.epochs / times))
    return config.model_copy(
        update={
            "epochs": epochs,
            "sgd_epochs": min(config.sgd_epochs, epochs),
            "batch_clips": round(config.batch_clips * times),
        }
    )


def decay_share(config: HeadConfig, clips: int) -> float:
    """Weight decay as a share of the step size, for members that learn from `clips` clips."""
    travelled = config.learning_rate * _steps(config, clips) * (0.5 if config.schedule == "cosine" else 1.0)
    return config.weight_decay + config.shrinkage / travelled


def decay_every(config: HeadConfig, clips: int, most: int) -> int:
    """Every how many steps weight decay is taken, `most` of them at most: two dozen times in all, so that what is left
    over at the end is little of it.
    """
    return min(most, max(1, _steps(config, clips) // _DECAYS))


def _steps(config: HeadConfig, clips: int) -> int:
    return config.epochs * max(1, round(clips / config.batch_clips))
