"""Every number of a report against the same number computed from the raw rows without SQL."""

import math
from collections import Counter, defaultdict
from datetime import date
from statistics import NormalDist, stdev
from typing import Any

import pytest

from hotjar_assets.report.scores import ces, csat, net_sentiment, nps
from hotjar_assets.warehouse.summaries import Ces
from hotjar_assets_tests.models import recomputed
from hotjar_assets_tests.models.model import EVERY_TYPE, raw, rows
from hotjar_assets_tests.models.recomputed import Rules
from hotjar_assets_tests.report.model import first_of, summaries

EASY = "easy"
TODAY = date(2026, 3, 3)
"""After the last response."""


def close(number):
    return pytest.approx(number, rel=1e-9, abs=1e-9) if isinstance(number, float) else number


def told(score):
    """Tell a score as the models do: number of answers, value, margin."""
    return (score.answers, score.value, score.margin) if score else (0, None, None)


@pytest.fixture(scope="module", params=[None, EASY], ids=["no effort", "effort"])
def effort(request):
    return request.param


@pytest.fixture(scope="module")
def truth(odd, effort):
    return raw(odd, Rules(effort_text=effort))


@pytest.fixture(scope="module")
def surveys(odd, effort):
    return {
        survey.survey_id: survey for survey in summaries(odd, effort=effort, today=TODAY).surveys
    }


def test_the_scores_of_a_survey(truth, surveys):
    expected = {row["survey_id"]: row for row in recomputed.hotjar__survey(truth)}

    assert surveys.keys() == expected.keys()
    for key, row in expected.items():
        survey = surveys[key]
        rate = None if survey.completion is None else 100 * survey.completion
        assert (survey.responses, rate) == (row["responses"], close(row["completion_rate"]))
        moments = (row["first_response_at"], row["last_response_at"])
        days = [str(at.date()) if at else None for at in moments]
        assert [survey.first_on, survey.last_on] == days
        for name, score in (("nps", nps), ("csat", csat)):
            found = told(score(getattr(survey.counts, name)))
            assert found == tuple(
                close(row[f"{name}{part}"]) for part in ("_answers", "", "_margin")
            )
        effort = told(ces(survey.counts.ces))
        assert effort[:2] == (row["ces_answers"], close(row["ces"]))


def test_the_scores_of_each_period(truth, surveys):
    responses = Counter(
        (row["survey_id"], first_of(surveys[row["survey_id"]].period, truth.day(row)))
        for row in truth.responses
    )
    found = {
        (key, period.starts_on): period
        for key, survey in surveys.items()
        for period in survey.periods
    }
    assert {key: period.responses for key, period in found.items()} == responses
    assert {survey.period for survey in surveys.values()} == {"day", "week", "month"}

    for name, parts in (
        ("nps", ("answers", "promoters", "detractors")),
        ("csat", ("answers", "satisfied")),
    ):
        totals: dict[Any, Counter[str]] = defaultdict(Counter)
        for row in getattr(recomputed, f"hotjar__{name}")(truth):
            if row["period"] == surveys[row["survey_id"]].period:
                counts = {part: row[part] for part in parts}
                totals[row["survey_id"], row["period_starts_on"]].update(counts)
        for key, period in found.items():
            expected = [totals[key][part] for part in parts]
            assert list(getattr(period.counts, name)) == expected, (name, key)


def test_the_margin_of_the_effort_is_that_of_a_sample():
    ratings = [1, 4, 5, 7, 7]
    counts = Ces(len(ratings), sum(ratings), sum(rating**2 for rating in ratings))
    margin = NormalDist().inv_cdf(0.975) * stdev(ratings) / math.sqrt(len(ratings))

    assert told(ces(counts)) == (5, pytest.approx(4.8), pytest.approx(margin, rel=1e-3))
    assert told(ces(Ces(1, 7, 49))) == (1, 7, None)
    assert told(ces(Ces(2, 14, 98))) == (2, 7, 0)
    assert ces(Ces()) is None


def test_the_answers_of_each_question(truth, surveys):
    expected = {
        (row["survey_id"], row["question_id"]): row
        for row in recomputed.hotjar__question_summary(truth)
    }
    found = {
        (key, question.question_id): question
        for key, survey in surveys.items()
        for question in survey.questions
    }

    assert found.keys() == expected.keys()
    for key, row in expected.items():
        question, answers = found[key], row["answers"]
        counted = (question.answers, question.people, question.comments)
        assert counted == (answers, row["responses"], row["comments"])
        if question.scale:
            given = [(each.answer, each.answers) for each in question.choices]
            total = sum(n for _, n in given)
            assert [number for number, _ in given] == [*range(*question.scale), question.scale[1]]
            assert total == row["scored_answers"]
            average = sum(number * n for number, n in given) / total if total else None
            assert average == close(row["mean_score"])
        elif row["most_common_answer"] is not None:
            times = {each.answer: each.answers for each in question.choices}
            favourite = row["most_common_answer"]
            assert 100 * times[favourite] / answers == close(row["most_common_share"])
            assert max(times.values()) == times[favourite]
            assert sum(times.values()) == answers


def test_the_moods_and_the_tags(truth, surveys):
    moods: dict[str, Counter[str]] = defaultdict(Counter)
    tags: dict[str, Counter[str]] = defaultdict(Counter)
    for row in recomputed.hotjar__sentiment(truth):
        if row["period"] == "month":
            names = ("positive", "neutral", "negative")
            moods[row["survey_id"]].update({name: row[name] for name in names})
    for row in recomputed.hotjar__tag_summary(truth):
        tags[row["survey_id"]][row["tag"]] += row["answers"]

    assert any(moods.values())
    assert any(tags.values())
    for key, survey in surveys.items():
        assert survey.counts.moods._asdict() == {
            mood: moods[key][mood] for mood in survey.counts.moods._fields
        }
        net = net_sentiment(survey.counts.moods)
        if net:
            balance = moods[key]["positive"] - moods[key]["negative"]
            assert net.value == close(100 * balance / moods[key].total())
        expected = sorted(tags[key].items(), key=lambda tag: (-tag[1], tag[0]))[:10]
        assert [(tag.name, tag.answers) for tag in survey.tags] == expected


def test_the_latest_comments_are_the_newest_texts(odd, surveys):
    (question,) = [q for q in surveys[EVERY_TYPE].questions if q.type == "long-text"]
    newest = rows(
        odd,
        "SELECT a.answer, a.comment FROM (SELECT *, unnest(answers) AS a FROM "
        f"hotjar.survey_responses WHERE survey_id = '{EVERY_TYPE}' AND deleted_at IS NULL) "
        f"WHERE a.question_id = '{question.question_id}' "
        "ORDER BY created_at DESC, response_id DESC",
    )
    written = [
        "\n".join(text.strip() for text in row.values() if text and text.strip()) for row in newest
    ]

    assert [each.text for each in question.latest] == [text[:700] for text in written if text][:5]
