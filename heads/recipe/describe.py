"""What settings mean, in the words of their docstrings."""

import inspect
import re

from pydantic import BaseModel


def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """What the docstring of `model` says of each field, under `Attributes:`."""
    text = inspect.getdoc(model) or ""
    listed = text.partition("Attributes:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^    (\w+): (.+(?:\n {8}.+)*)", listed, re.MULTILINE)
    return {name: " ".join(told.split()) for name, told in found}
