"""The layers of saved heads, registered with Keras: import this to load a head without the rest of Trapline."""

from heads.models.layers import AttentionPooling, Competing, MeanOfLogits, Standardise, TapDropout, TurnRound

__all__ = ["AttentionPooling", "Competing", "MeanOfLogits", "Standardise", "TapDropout", "TurnRound"]
