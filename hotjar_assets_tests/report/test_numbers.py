"""Every number of a report against the same number computed from the raw rows without SQL."""

from collections import Counter, defaultdict
from typing import Any

import pytest

from hotjar_assets.report.scores import ces, csat, net_sentiment, nps
from hotjar_assets_tests.models import recomputed
from hotjar_assets_tests.models.model import EVERY_TYPE, raw, rows
from hotjar_assets_tests.models.recomputed import Rules
from hotjar_assets_tests.report.model import first_of, summaries

EASY = "easy"


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
    return {survey.survey_id: survey for survey in summaries(odd, effort=effort).surveys}


def test_the_scores_of_a_survey(truth, surveys):
    expected = recomputed.hotjar__survey(truth)

    assert {(key,) for key in surveys} == expected.keys()
    for (key,), figures in expected.items():
        survey = surveys[key]
        responses, complete = figures[1:3]
        assert (survey.responses, survey.complete or 0) == (responses, complete)
        days = [str(at.date()) if at else None for at in figures[4:6]]
        assert [survey.first_on, survey.last_on] == days
        scores = (*told(nps(survey.counts.nps)), *told(csat(survey.counts.csat)))
        assert scores == tuple(close(figure) for figure in figures[6:12])
        effort = told(ces(survey.counts.ces))
        assert effort[:2] == (figures[12], close(figures[13]))


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

    for mart, name in (("hotjar__nps", "nps"), ("hotjar__csat", "csat")):
        totals: dict[Any, Counter[str]] = defaultdict(Counter)
        for (key, _, period, starts_on), figures in getattr(recomputed, mart)(truth).items():
            if period == surveys[key].period:
                answers, good, *others = figures[:4]
                bad = others[1] if name == "nps" else 0
                totals[key, starts_on].update(answers=answers, good=good, bad=bad)
        for key, period in found.items():
            expected = [totals[key][part] for part in ("answers", "good", "bad")]
            counts = getattr(period.counts, name)
            assert list(counts) == expected[: len(counts)], (mart, key)


def test_the_effort_and_its_margin(truth, surveys, effort):
    by_month = {
        key: figures
        for key, figures in recomputed.hotjar__ces(truth).items()
        if key[2] == "month" and figures[3] is not None
    }

    assert bool(by_month) == (effort is not None)
    # A question whose answers are all of one month has the margin of that month.
    months = Counter(key[:2] for key in recomputed.hotjar__ces(truth) if key[2] == "month")
    for (key, question_id, *_), (answers, _, mean, margin) in by_month.items():
        if months[key, question_id] == 1:
            (question,) = [q for q in surveys[key].questions if q.question_id == question_id]
            assert told(ces(question.counts.ces)) == (answers, close(mean), close(margin))


def test_the_answers_of_each_question(truth, surveys):
    expected = recomputed.hotjar__question_summary(truth)
    found = {
        (key, question.question_id): question
        for key, survey in surveys.items()
        for question in survey.questions
    }

    assert found.keys() == expected.keys()
    for key, figures in expected.items():
        question = found[key]
        answers, people, comments, _, scored, mean, _, favourite = figures[:8]
        counted = (question.answers, question.people, question.comments)
        assert counted == (answers, people, comments)
        if question.scale:
            given = [(each.answer, each.answers) for each in question.choices]
            total = sum(n for _, n in given)
            assert [number for number, _ in given] == [*range(*question.scale), question.scale[1]]
            assert total == scored
            average = sum(number * n for number, n in given) / total if total else None
            assert average == close(mean)
        elif favourite is not None:
            times = {each.answer: each.answers for each in question.choices}
            assert 100 * times[favourite] / answers == close(figures[8])
            assert max(times.values()) == times[favourite]
            assert sum(times.values()) == answers


def test_the_moods_and_the_tags(truth, surveys):
    moods: dict[str, Counter[str]] = defaultdict(Counter)
    tags: dict[str, Counter[str]] = defaultdict(Counter)
    for (key, _, period, _), figures in recomputed.hotjar__sentiment(truth).items():
        if period == "month":
            names = ("positive", "neutral", "negative")
            moods[key].update(dict(zip(names, figures[1:4], strict=True)))
    for (key, _, tag), figures in recomputed.hotjar__tag_summary(truth).items():
        tags[key][tag] += figures[0]

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
        "SELECT trim(a.answer) AS said FROM (SELECT *, unnest(answers) AS a FROM "
        f"hotjar.survey_responses WHERE survey_id = '{EVERY_TYPE}' AND deleted_at IS NULL) "
        f"WHERE a.question_id = '{question.question_id}' AND trim(a.answer) != '' "
        "ORDER BY created_at DESC, response_id DESC LIMIT 5",
    )

    assert [comment.text for comment in question.latest] == [row["said"][:700] for row in newest]
