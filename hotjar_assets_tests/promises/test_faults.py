"""A walk that fails at any of its pages, through the loop that reads and commits."""

import pytest

from hotjar_assets.sandbox import Fault
from hotjar_assets.sync import Depth
from hotjar_assets_tests.promises import model
from hotjar_assets_tests.promises.harness import PAGE_ROWS

PAGES = 4
DEPTHS = {"a first sync": None, "new": Depth.NEW, "lookback": Depth.LOOKBACK, "all": Depth.ALL}


@pytest.mark.parametrize("depth", DEPTHS.values(), ids=DEPTHS)
def test_of_a_walk_that_fails_at_any_page_no_row_is_kept_and_the_next_one_misses_none(
    account, server, tables, depth
):
    """A survey for each page; on the page before it stand rows that a part would have stored."""
    failing = {account.add_survey(): page for page in range(1, PAGES + 1)}
    whole = account.add_survey()
    survey_ids = [*failing, whole]
    tables.list_surveys()
    if depth:
        for survey_id in survey_ids:
            account.add_responses(survey_id, PAGE_ROWS)
        assert not tables.sync(survey_ids).failed
    for survey_id in survey_ids:
        account.add_responses(survey_id, PAGES * PAGE_ROWS)
    before = model.held_responses(tables.path)
    for survey_id, page in failing.items():
        server.faults.add(Fault("404", path="responses", survey_id=survey_id, page=page))
    outcome = tables.sync(survey_ids, depth or Depth.NEW)
    assert (outcome.failed.keys(), outcome.stored.keys()) == (failing.keys(), {whole})
    assert all(f"page {failing[key]}" in problem for key, problem in outcome.failed.items())
    after = model.held_responses(tables.path)
    assert after == before | {whole: model.given(account, whole)}
    server.faults.clear()
    assert tables.sync(survey_ids).stored.keys() == {*survey_ids}
    assert model.held_responses(tables.path) == {
        key: model.given(account, key) for key in survey_ids
    }
