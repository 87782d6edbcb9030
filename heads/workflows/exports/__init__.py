"""Answers in the formats of other programs: one module a format; `registry` has the table of them."""
