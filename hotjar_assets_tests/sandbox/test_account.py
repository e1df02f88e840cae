"""The data: deterministic, lifelike, of exactly the documented shape."""

import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from hotjar_assets.sandbox import SandboxAccount
from hotjar_assets_tests.sandbox.conftest import EMPTY, LARGE, NPS

EVERY_TYPE = {
    "nps",
    "rating-1-5",
    "rating-1-7",
    "reaction",
    "reaction-binary",
    "long-text",
    "short-text",
    "single-option",
    "multiple-option",
    "email",
    "statement",
    "thank-you",
}
RESPONSE = {
    "id",
    "created_time",
    "is_complete",
    "device",
    "browser",
    "os",
    "country",
    "hotjar_user_id",
    "response_origin_url",
    "user_attributes",
    "answers",
}
DIGEST = """
import hashlib, json
from hotjar_assets.sandbox import SandboxAccount
account = SandboxAccount(seed=7)
ids = account.survey_ids("1001")
everything = [account.surveys("1001"), account.surveys("1002"), [account.responses(i) for i in ids]]
print(hashlib.sha256(json.dumps(everything).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def account():
    return SandboxAccount().build()


@pytest.fixture(scope="module")
def every_response(account):
    return [
        response
        for site_id in account.site_ids
        for survey_id in account.survey_ids(site_id)
        for response in account.responses(survey_id)
    ]


def created(response):
    return datetime.fromisoformat(response["created_time"])


def test_same_seed_gives_the_same_account_whatever_the_hash_seed():
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1


def test_order_of_reading_does_not_matter(account):
    backwards = SandboxAccount()
    ids = account.survey_ids()
    read = {survey_id: backwards.responses(survey_id) for survey_id in reversed(ids)}
    assert read == {survey_id: account.responses(survey_id) for survey_id in ids}


def test_another_seed_gives_other_responses(account):
    assert SandboxAccount(seed=2).responses(NPS) != account.responses(NPS)


def test_clock_without_zone_is_refused():
    with pytest.raises(ValueError, match="aware"):
        SandboxAccount(clock=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


def test_default_account_has_an_empty_a_large_and_disabled_surveys(account):
    surveys = account.surveys()
    assert len(surveys) == 12
    assert account.response_count(EMPTY) == 0
    assert account.response_count(LARGE) == 5000
    assert {survey["is_enabled"] for survey in surveys} == {True, False}
    assert {survey["sentiment_analysis_enabled"] for survey in surveys} == {True, False}
    assert {survey["type"] for survey in surveys} >= {"link", "full_screen", "popover"}
    assert len(account.surveys("1002")) == 2


def test_every_question_type_and_every_shape_of_choices_occurs(account):
    questions = [question for survey in account.surveys() for question in survey["questions"]]
    assert {question["type"] for question in questions} == EVERY_TYPE
    shapes = {
        None if question["choices"] is None else type(question["choices"][0])
        for question in questions
    }
    assert shapes == {None, str, dict}
    ids = [question["id"] for question in questions]
    assert len(set(ids)) == len(ids)


def test_optional_survey_field_is_absent_null_or_set(account):
    values = [survey.get("updated_time", "absent") for survey in account.surveys()]
    assert "absent" in values
    assert None in values
    assert any(isinstance(value, str) and value.endswith("Z") for value in values)


def test_responses_have_the_documented_fields_and_no_other(every_response):
    assert {
        frozenset(response.keys() - {"recording_url", "window_size"}) for response in every_response
    } == {frozenset(RESPONSE)}
    assert {
        frozenset(answer.keys() - {"comment"})
        for response in every_response
        for answer in response["answers"]
    } == {frozenset({"question_id", "answer", "tags", "sentiment"})}


def test_answers_belong_to_questions_of_the_survey(account):
    answered = 0
    for survey in account.surveys():
        asked = {question["id"] for question in survey["questions"]}
        for response in account.responses(str(survey["id"])):
            assert {answer["question_id"] for answer in response["answers"]} <= asked
            answered += len(response["answers"])
    assert answered > 1_000


def test_responses_are_newest_first_and_none_is_newer_than_the_clock(account):
    times = {
        survey_id: [created(response) for response in account.responses(survey_id)]
        for survey_id in account.survey_ids()
    }
    assert times == {key: sorted(each, reverse=True) for key, each in times.items()}
    assert max(each[0] for each in times.values() if each) <= account.clock


def test_equal_times_occur_in_different_precisions(account):
    texts = [response["created_time"] for response in account.responses(NPS)]
    assert max(Counter(texts).values()) > 1
    assert {len(text) for text in texts} == {20, 24, 27}
    assert all(text.endswith("Z") for text in texts)


def test_response_ids_are_unique_texts(every_response):
    ids = [response["id"] for response in every_response]
    assert len(set(ids)) == len(ids)
    assert all(isinstance(response_id, str) for response_id in ids)


def test_user_attributes_have_values_of_each_type(every_response):
    values = [
        attribute["value"]
        for response in every_response
        for attribute in response["user_attributes"]
    ]
    assert {type(value) for value in values} == {str, int, float, bool, type(None)}


def test_data_is_varied(every_response):
    answers = [answer for response in every_response for answer in response["answers"]]
    texts = [answer["answer"] for answer in answers]
    assert None in texts
    assert max(len(text) for text in texts if text) > 5000
    assert any("👩‍👩‍👧‍👦" in text for text in texts if text)
    assert {answer["sentiment"] for answer in answers} == {"positive", "neutral", "negative", None}
    assert any(answer["tags"] for answer in answers)
    assert any("comment" in answer for answer in answers)
    assert {response["is_complete"] for response in every_response} == {True, False}
    assert {response["device"] for response in every_response} == {"desktop", "mobile", "tablet"}
    assert len({response["country"] for response in every_response}) > 20
    assert any("?" in (response["response_origin_url"] or "") for response in every_response)
    assert any(response.get("window_size", {}) is None for response in every_response)


def test_old_responses_have_lost_attributes_and_recording(account):
    limit = account.clock - timedelta(days=365)
    old = [response for response in account.responses(NPS) if created(response) < limit]
    assert old
    assert all(not response["user_attributes"] for response in old)
    assert all(response["recording_url"] is None for response in old)


def test_score_rises_over_the_months(account):
    question = account.survey(NPS)["questions"][0]["id"]
    scores = [
        int(answer["answer"])
        for response in account.responses(NPS)
        for answer in response["answers"]
        if answer["question_id"] == question
    ]
    half = len(scores) // 2
    assert sum(scores[:half]) > sum(scores[half:])
    assert set(scores) == set(range(11))


def test_multiple_option_question_gives_one_answer_an_option(account):
    question = account.survey("1204505")["questions"][0]
    chosen = [
        sum(answer["question_id"] == question["id"] for answer in response["answers"])
        for response in account.responses("1204505")
    ]
    assert max(chosen) > 1


def test_sized_account_has_the_surveys_and_responses_asked_for():
    account = SandboxAccount.sized(surveys=7, responses=3)
    assert [account.response_count(survey_id) for survey_id in account.survey_ids()] == [3] * 7
    assert account.surveys("1002") == []


def test_empty_account_has_its_site_and_no_survey():
    account = SandboxAccount.empty()
    assert account.surveys() == []
    assert account.has_site("1001")


@pytest.fixture
def changing():
    account = SandboxAccount.empty()
    account.add_survey("Small", survey_id="s1", responses=5)
    return account


def test_added_responses_are_newest_in_the_order_of_their_ids(changing):
    before = changing.responses("s1")
    ids = changing.add_responses("s1", 3)
    after = changing.responses("s1")
    assert [response["id"] for response in after[:3]] == ids[::-1]
    assert after[3:] == before
    assert all(response["is_complete"] for response in after[:3])


def test_each_addition_is_newer_than_the_one_before(changing):
    first = changing.add_responses("s1", 10)
    second = changing.add_responses("s1", 1)
    assert changing.responses("s1")[0]["id"] == second[0]
    assert created(changing.response("s1", second[0])) > created(changing.response("s1", first[-1]))


def test_response_may_be_added_in_the_past(changing):
    at = datetime(2020, 2, 3, 4, 5, 6, tzinfo=UTC)
    ids = changing.add_responses("s1", 2, created_at=at, country="IS")
    oldest = changing.responses("s1")[-2:]
    assert [response["id"] for response in oldest] == ids[::-1]
    assert {response["created_time"] for response in oldest} == {"2020-02-03T04:05:06Z"}
    assert {response["country"] for response in oldest} == {"IS"}


def test_completed_response_answers_every_question(changing):
    (response_id,) = changing.add_responses("s1", is_complete=False, answers=[])
    changing.complete_response("s1", response_id)
    response = changing.response("s1", response_id)
    assert response["is_complete"] is True
    assert {answer["question_id"] for answer in response["answers"]} == {
        question["id"] for question in changing.survey("s1")["questions"]
    }


def test_tagged_response_keeps_its_place_and_answers(changing):
    before = changing.responses("s1")
    changing.tag_response("s1", before[2]["id"], tags=["bug", "speed"], sentiment="negative")
    after = changing.responses("s1")
    assert [response["id"] for response in after] == [response["id"] for response in before]
    answer = after[2]["answers"][0]
    assert answer["tags"] == [{"name": "bug"}, {"name": "speed"}]
    assert answer["sentiment"] == "negative"
    assert answer["answer"] == before[2]["answers"][0]["answer"]


def test_raw_values_replace_fields_and_fields_can_be_left_out(changing):
    response_id = changing.responses("s1")[1]["id"]
    changing.set_response("s1", response_id, id=42, ai_summary={"a": "\ud83d"}, without=["os"])
    response = changing.response("s1", "42")
    assert response["id"] == 42
    assert response["ai_summary"] == {"a": "\ud83d"}
    assert "os" not in response


def test_new_time_moves_a_response(changing):
    response_id = changing.responses("s1")[1]["id"]
    changing.set_response("s1", response_id, created_time="2019-01-01T00:00:00+02:00")
    assert changing.responses("s1")[-1]["id"] == response_id


def test_deleted_response_comes_back_in_its_place(changing):
    before = changing.responses("s1")
    changing.delete_response("s1", before[2]["id"])
    assert changing.responses("s1") == before[:2] + before[3:]
    changing.restore_response("s1", before[2]["id"])
    assert changing.responses("s1") == before


def test_removed_survey_comes_back_with_its_responses(changing):
    responses = changing.responses("s1")
    changing.remove_survey("s1")
    assert changing.survey_ids() == []
    with pytest.raises(KeyError):
        changing.responses("s1")
    changing.restore_survey("s1")
    assert changing.responses("s1") == responses


def test_updated_survey_has_new_values_and_a_new_update_time(changing):
    changing.update_survey("s1", name="Renamed", is_enabled=False, questions=[])
    first = changing.survey("s1")
    assert (first["name"], first["is_enabled"], first["questions"]) == ("Renamed", False, [])
    changing.update_survey("s1", name="Again")
    assert changing.survey("s1")["updated_time"] > first["updated_time"]


def test_second_survey_of_the_same_id_is_refused(changing):
    with pytest.raises(ValueError, match="already"):
        changing.add_survey(survey_id="s1")


def test_survey_on_an_unknown_site_brings_the_site(changing):
    survey_id = changing.add_survey(site_id="9009")
    assert changing.survey_ids("9009") == [survey_id]
