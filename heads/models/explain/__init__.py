"""Which frames an answer came from, and what heads say of single frames."""
