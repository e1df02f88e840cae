"""Where garbage is looked for: as long as we say so, and as before afterwards."""

import gc

import pytest

from hotjar_assets.garbage import kept, without_garbage


def test_what_is_there_is_left_out_as_long_as_it_is_said():
    assert gc.get_freeze_count() == 0
    with kept():
        assert gc.get_freeze_count() > 10_000
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("was_enabled", [True, False])
def test_it_is_looked_for_after_an_import_only_if_it_was_before(was_enabled, monkeypatch):
    monkeypatch.setattr(gc, "isenabled", lambda: was_enabled)
    enabled = []
    monkeypatch.setattr(gc, "enable", lambda: enabled.append(True))
    monkeypatch.setattr(gc, "disable", lambda: None)
    with without_garbage():
        assert enabled == []
    assert enabled == [True] * was_enabled
