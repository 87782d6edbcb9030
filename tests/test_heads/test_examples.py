"""The examples in docstrings say what happens."""

import doctest
from types import ModuleType

import pytest

from heads.data import labels, predictions
from heads.data.splitting import folds


@pytest.mark.parametrize("module", [folds, labels, predictions], ids=lambda module: module.__name__)
def test_examples_in_docstrings_are_true(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 1
    assert found.failed == 0
