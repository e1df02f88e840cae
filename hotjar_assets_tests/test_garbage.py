"""How often garbage is looked for: while we say so, and as before afterwards."""

import gc

import pytest

from hotjar_assets.garbage import OBJECTS_BETWEEN, little_garbage, without_garbage


def test_it_is_looked_for_rarely_only_as_long_as_it_is_said():
    before = gc.get_threshold()
    with little_garbage():
        assert gc.get_threshold() == (OBJECTS_BETWEEN, *before[1:])
    assert gc.get_threshold() == before


@pytest.mark.parametrize("was_enabled", [True, False])
def test_it_is_looked_for_after_an_import_only_if_it_was_before(was_enabled, monkeypatch):
    monkeypatch.setattr(gc, "isenabled", lambda: was_enabled)
    enabled = []
    monkeypatch.setattr(gc, "enable", lambda: enabled.append(True))
    monkeypatch.setattr(gc, "disable", lambda: None)
    with without_garbage():
        assert enabled == []
    assert enabled == [True] * was_enabled
