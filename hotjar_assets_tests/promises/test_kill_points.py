"""A sync that dies before each of the statements that write, one after the other."""

import pytest

from hotjar_assets_tests.promises import model
from hotjar_assets_tests.promises.harness import PAGE_ROWS, KillAt, ShortPages, Snapshot, Tables


def change(account: ShortPages, survey_id: str, number: int) -> None:
    """Change two responses, let some come, and delete one that stood on the first page."""
    newest, second, third, *_ = (str(row["id"]) for row in account.responses(survey_id))
    account.set_response(survey_id, newest, country=f"country {number}")
    account.set_response(survey_id, third, os=f"system {number}")
    account.delete_response(survey_id, second)
    account.add_responses(survey_id, 3)


@pytest.mark.slow
def test_a_kill_before_any_statement_leaves_each_survey_as_it_was_or_whole(account, tables: Tables):
    """A plain sync, which reads all of a survey again because of the deleted response."""
    survey_ids = [account.add_survey(responses=2 * PAGE_ROWS) for _ in range(2)]
    tables.list_surveys()
    tables.sync(survey_ids)
    snapshot, statement = Snapshot(tables.path), 0
    while True:
        statement += 1
        for survey_id in survey_ids:
            change(account, survey_id, statement)
        before = model.held_responses(tables.path)
        kill = KillAt(statement, snapshot.take)
        tables.sync(survey_ids, kill=kill)
        if not kill.happened:
            break
        snapshot.put_back()
        after = model.held_responses(tables.path)
        for survey_id in survey_ids:
            there = model.given(account, survey_id)
            assert not model.problems(before[survey_id], after[survey_id], [there], None)
            assert not model.hidden(after[survey_id], there, ())
            newest = max(there, key=lambda key: (there[key]["created_at"], key))
            # The newest row came with all the others, or none of them came.
            if newest in after[survey_id]:
                assert there.keys() <= after[survey_id].keys()
                assert all(after[survey_id][key] == row for key, row in there.items())
            else:
                assert after[survey_id] == before[survey_id]
    # Five statements at least prepare the file, and ten merge.
    assert statement > 15
    held = model.held_responses(tables.path)
    for survey_id in survey_ids:
        live = {key: row for key, row in held[survey_id].items() if not row["is_marked"]}
        assert live == model.given(account, survey_id)
