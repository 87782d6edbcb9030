import pytest

from heads.blending.blenders import registry


@pytest.fixture(autouse=True)
def _no_trees_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boosters are tried where they are installed; tests of everything else need not wait for them."""
    monkeypatch.setattr(registry, "MOST_CLIPS_FOR_TREES", 0)
