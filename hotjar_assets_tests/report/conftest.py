"""Two databases, each filled once: of odd answers, and of surveys that are hard to show."""

import pytest

from hotjar_assets_tests.models.model import EVERY_TYPE, add_small_surveys, odd_account
from hotjar_assets_tests.report.model import answer, hard_account, stored


@pytest.fixture(scope="session")
def odd(tmp_path_factory):
    """Odd answers, some with white space around them, of which two were deleted in Hotjar."""
    account = odd_account()
    for said in ("\t9\r\n", "\n", "\tBuyer "):
        answers = [
            answer(question["id"], said, comment=said)
            for question in account.survey(EVERY_TYPE)["questions"]
        ]
        account.add_responses(EVERY_TYPE, answers=answers)

    def delete_two(account):
        for response in account.responses(EVERY_TYPE)[:2]:
            account.delete_response(EVERY_TYPE, str(response["id"]))

    path = stored(account, tmp_path_factory.mktemp("odd") / "odd.duckdb", then=delete_two)
    add_small_surveys(path)
    return path


@pytest.fixture(scope="session")
def hard(tmp_path_factory):
    return stored(hard_account(), tmp_path_factory.mktemp("hard") / "hard.duckdb")
