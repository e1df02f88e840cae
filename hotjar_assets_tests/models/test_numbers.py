"""Every number of the models against the same number computed from the raw rows without SQL."""

import pytest

from hotjar_assets_tests.models import recomputed
from hotjar_assets_tests.models.model import EVERY_TYPE, dbt, raw, rows, stored
from hotjar_assets_tests.models.recomputed import Rules

PERIOD = ("survey_id", "question_id", "period", "period_starts_on")
SCORES = ("nps_answers", "nps", "nps_margin", "csat_answers", "csat", "csat_margin")
COMPLETION = ("responses", "complete_responses", "completion_rate")
MOODS = ("positive", "neutral", "negative")
MARTS = {
    "hotjar__nps": (PERIOD, ("answers", "promoters", "passives", "detractors", "nps", "margin")),
    "hotjar__csat": (PERIOD, ("answers", "satisfied", "csat", "margin")),
    "hotjar__ces": (PERIOD, ("answers", "scale_most", "ces", "margin")),
    "hotjar__sentiment": (PERIOD, ("answers", *MOODS, "net_sentiment")),
    "hotjar__tag_summary": (
        ("survey_id", "question_id", "tag"),
        ("answers", "share_of_tagged_answers", *MOODS, "first_at", "last_at"),
    ),
    "hotjar__question_summary": (
        ("survey_id", "question_id"),
        (
            *("answers", "responses", "comments", "tagged_answers", "scored_answers"),
            *("mean_score", "score_deviation", "most_common_answer", "most_common_share"),
            *("first_at", "last_at"),
        ),
    ),
    "hotjar__daily_breakdown": (
        ("survey_id", "responded_on", "device"),
        (*COMPLETION, *SCORES),
    ),
    "hotjar__page_feedback": (
        ("survey_id", "page"),
        (
            *("responses", "last_response_at", "texts", "positive_answers", "negative_answers"),
            *SCORES,
        ),
    ),
    "hotjar__survey": (
        ("survey_id",),
        (
            *("questions", *COMPLETION, "first_response_at", "last_response_at"),
            *(*SCORES, "ces_answers", "ces"),
        ),
    ),
}
OTHER_RULES = Rules(
    timezone="Asia/Tokyo",
    include_incomplete=False,
    minimum_answers=4,
    csat_top_boxes=3,
    effort_text="easy",
)


def close(number):
    """Compare numbers up to the last digits of a float, and anything else exactly."""
    is_number = isinstance(number, float)
    return pytest.approx(number, rel=1e-9, abs=1e-9) if is_number else number


def assert_equal(database, mart, rules):
    key, columns = MARTS[mart]
    expected = getattr(recomputed, mart)(raw(database, rules))
    found = stored(database, mart, key, columns)
    assert found.keys() == expected.keys()
    for row, figures in expected.items():
        assert found[row] == tuple(close(figure) for figure in figures), row
    return expected


@pytest.mark.parametrize("mart", MARTS)
def test_every_number_is_that_of_the_raw_rows(built, mart):
    expected = assert_equal(built.database, mart, Rules())

    # Only a named question asks for effort.
    assert bool(expected) == (mart != "hotjar__ces")


@pytest.fixture(scope="module")
def other(built, tmp_path_factory):
    """A database whose models were made with every variable changed."""
    database = tmp_path_factory.mktemp("other") / built.database.name
    database.write_bytes(built.database.read_bytes())
    dbt("run", database=database, **OTHER_RULES.variables())
    return database


@pytest.mark.slow
@pytest.mark.parametrize("mart", MARTS)
def test_every_number_follows_the_variables(built, other, mart):
    expected = assert_equal(other, mart, OTHER_RULES)

    assert expected != getattr(recomputed, mart)(raw(built.database, Rules()))


def test_the_account_has_every_case(built):
    """The comparison above would also hold for tables without a row."""
    answers = list(raw(built.database, Rules()).answers())

    assert {answer.group for answer in answers} == {"promoter", "passive", "detractor", None}
    assert [answer.said for answer in answers if answer.kind == "nps" and answer.score is None]
    assert [answer for answer in answers if answer.kind is None]
    assert {answer.device for answer in answers} == {"desktop", "mobile", "tablet", "unknown"}
    deleted = "SELECT 1 FROM hotjar.survey_responses WHERE deleted_at IS NOT NULL"
    assert len(rows(built.database, deleted)) == 2
    incomplete = "SELECT 1 FROM hotjar_marts.hotjar__response WHERE NOT is_complete"
    assert rows(built.database, incomplete)
    one_sided = "SELECT margin FROM hotjar_marts.hotjar__nps WHERE nps = 100 AND answers = 3"
    assert {"margin": 0.0} in rows(built.database, one_sided)


def test_a_response_is_flat_and_stands_once(built):
    given = raw(built.database, Rules())
    found = rows(built.database, "FROM hotjar_marts.hotjar__response")

    assert {(row["survey_id"], row["response_id"]) for row in found} == {
        (row["survey_id"], row["response_id"]) for row in given.responses
    }
    assert len(found) == len(given.responses)
    answers = recomputed.grouped(
        given.answers(), lambda answer: (answer.survey_id, answer.response_id)
    )
    for row in found:
        own = answers.get((row["survey_id"], row["response_id"]), [])
        scores = [answer.score for answer in own if answer.group]
        assert row["nps_score"] == (scores[0] if scores else None)
        assert row["answers"] == sum(bool(answer.said) for answer in own)
        assert row["tags"] == sorted({tag for answer in own for tag in answer.tags})
        texts = [answer.said for answer in own if answer.kind in {"short-text", "long-text"}]
        assert row["texts"] == ("\n".join(text for text in texts if text) or None)


def test_answers_that_are_no_numbers_stay_as_they_were_said(built):
    said = rows(
        built.database,
        "SELECT DISTINCT answer FROM hotjar_intermediate.int_hotjar__answer_enriched "
        f"WHERE survey_id = '{EVERY_TYPE}' AND question_type = 'nps' AND score IS NULL",
    )

    assert {"ten", "10.5", "11", "-1", "NaN", "1e1"} <= {row["answer"] for row in said}
