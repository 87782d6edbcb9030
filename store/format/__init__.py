"""The bytes of a part: the code beside docs/format.md."""
