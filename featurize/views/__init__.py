"""Which frames of a clip are taken, and what part of a frame is shown at what size."""
