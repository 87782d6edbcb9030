"""The layers of saved heads, registered with Keras: import this to load a head without the rest of Trapline."""

from heads.models.layers import *  # noqa: F403
