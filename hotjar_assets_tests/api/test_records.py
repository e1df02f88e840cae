"""From the API's JSON to the columns of the tables: nothing is lost, little is refused."""

import json
from datetime import UTC, datetime

import pytest

from hotjar_assets.api.decoding import decode_response_page, decode_survey, decode_survey_page
from hotjar_assets.errors import HotjarSchemaError
from hotjar_assets.schema import SURVEY_RESPONSES, SURVEYS
from hotjar_assets_tests.api.model import response_row, stored, survey_row

NINE = datetime(2026, 1, 31, 9, tzinfo=UTC)

RESPONSE = {
    "id": "r1",
    "created_time": "2026-01-31T10:00:00.250+01:00",
    "is_complete": True,
    "device": "desktop",
    "browser": "Chrome 120",
    "os": "Linux",
    "country": "MT",
    "hotjar_user_id": "3f2b8c1e",
    "recording_url": "https://insights.hotjar.com/r/1",
    "response_origin_url": "https://example.com/?a=1",
    "window_size": {"width": 1280, "height": 720},
    "user_attributes": [
        {"name": "plan", "value": "pro"},
        {"name": "seats", "value": 5},
        {"name": "spend", "value": 12.5},
        {"name": "is_admin", "value": False},
        {"name": "left_at", "value": None},
    ],
    "answers": [
        {
            "question_id": "q1",
            "answer": "9",
            "comment": "fine",
            "tags": [{"name": "pricing"}, {"name": "speed"}],
            "sentiment": "positive",
        },
        {"question_id": "q2", "answer": None, "comment": None, "tags": [], "sentiment": None},
    ],
}
RESPONSE_COLUMNS = {
    "response_id": "r1",
    "survey_id": "42",
    "site_id": "1001",
    "platform": "hotjar",
    "created_at": datetime(2026, 1, 31, 9, 0, 0, 250_000, tzinfo=UTC),
    "is_complete": True,
    "device": "desktop",
    "browser": "Chrome 120",
    "os": "Linux",
    "country": "MT",
    "hotjar_user_id": "3f2b8c1e",
    "response_origin_url": "https://example.com/?a=1",
    "recording_url": "https://insights.hotjar.com/r/1",
    "window_width": 1280,
    "window_height": 720,
    "user_attributes": [
        {"name": "plan", "value": '"pro"'},
        {"name": "seats", "value": "5"},
        {"name": "spend", "value": "12.5"},
        {"name": "is_admin", "value": "false"},
        {"name": "left_at", "value": None},
    ],
    "answers": [
        {
            "question_id": "q1",
            "answer": "9",
            "comment": "fine",
            "tags": ["pricing", "speed"],
            "sentiment": "positive",
        },
        {"question_id": "q2", "answer": None, "comment": None, "tags": [], "sentiment": None},
    ],
    "extra": None,
}
SURVEY = {
    "id": "42",
    "name": "Checkout",
    "type": "popover",
    "language": "en",
    "url": "https://surveys.hotjar.com/42",
    "responses_url": "https://api.hotjar.io/v1/sites/1001/surveys/42/responses",
    "is_enabled": True,
    "created_time": "2026-01-31T09:00:00Z",
    "updated_time": "2026-01-31T09:00:00Z",
    "sentiment_analysis_enabled": False,
    "questions": [
        {
            "id": "q1",
            "text": "How likely …?",
            "type": "nps",
            "is_required": True,
            "choices": None,
            "labels": {"low_label": "Not", "high_label": "Very"},
            "image_url": "https://example.com/a.png",
        },
        {
            "id": "q2",
            "text": "Why?",
            "type": "single-option",
            "is_required": False,
            "choices": [{"text": "Price", "allow_comment": True}, "Speed"],
            "labels": None,
        },
    ],
}
SURVEY_COLUMNS = {
    "survey_id": "42",
    "site_id": "1001",
    "platform": "hotjar",
    "name": "Checkout",
    "type": "popover",
    "language": "en",
    "is_enabled": True,
    "is_sentiment_enabled": False,
    "created_at": NINE,
    "updated_at": NINE,
    "url": "https://surveys.hotjar.com/42",
    "questions": [
        {
            "question_id": "q1",
            "position": 0,
            "type": "nps",
            "text": "How likely …?",
            "is_required": True,
            "choices": None,
            "low_label": "Not",
            "high_label": "Very",
            "image_url": "https://example.com/a.png",
        },
        {
            "question_id": "q2",
            "position": 1,
            "type": "single-option",
            "text": "Why?",
            "is_required": False,
            "choices": [
                {"text": "Price", "allow_comment": True},
                {"text": "Speed", "allow_comment": None},
            ],
            "low_label": None,
            "high_label": None,
            "image_url": None,
        },
    ],
    "extra": None,
}


def page_of(*rows):
    return json.dumps({"results": rows}).encode()


def raw_page(row):
    return b'{"results":[' + row.encode() + b"]}"


def response(**fields):
    """Decode one response with these fields."""
    (row,) = decode_response_page(page_of(response_row(**fields))).results
    return row


def response_of(text):
    """Decode one response of which `text` is the JSON of further fields."""
    row = f'{{"id":"r1","created_time":"2026-01-31T09:00:00Z",{text}}}'
    (decoded,) = decode_response_page(raw_page(row)).results
    return decoded


def columns(record, table, folder):
    (row,) = stored([record], table, folder)
    return row


# --- Every column ------------------------------------------------------------------------------


@pytest.mark.parametrize("unknown", [{}, {"new": 1}], ids=["fast", "tolerant"])
def test_every_column_of_a_response_is_filled(unknown, tmp_path):
    (row,) = decode_response_page(page_of({**RESPONSE, **unknown})).results
    row.site_id, row.survey_id, row.platform = "1001", "42", "hotjar"
    assert {column.name for column in SURVEY_RESPONSES.sourced} == RESPONSE_COLUMNS.keys()
    extra = json.dumps(unknown, separators=(",", ":")) if unknown else None
    assert columns(row, SURVEY_RESPONSES, tmp_path) == {**RESPONSE_COLUMNS, "extra": extra}


def test_every_column_of_a_survey_is_filled(tmp_path):
    survey = decode_survey(json.dumps(SURVEY).encode())
    survey.site_id, survey.platform = "1001", "hotjar"
    assert {column.name for column in SURVEYS.sourced} == SURVEY_COLUMNS.keys()
    assert columns(survey, SURVEYS, tmp_path) == SURVEY_COLUMNS


def test_survey_is_the_same_alone_and_in_a_page():
    (listed,) = decode_survey_page(page_of(SURVEY)).results
    assert listed == decode_survey(json.dumps(SURVEY).encode())


def test_response_with_nothing_but_its_keys_is_stored(tmp_path):
    row = columns(response(), SURVEY_RESPONSES, tmp_path)
    filled = {name for name, value in row.items() if value is not None}
    assert filled == {"response_id", "created_at"}


NULLS = {name: None for name in RESPONSE if name not in {"id", "created_time"}}


def test_null_is_as_good_as_absent(tmp_path):
    assert stored([response(**NULLS)], SURVEY_RESPONSES, tmp_path) == stored(
        [response()], SURVEY_RESPONSES, tmp_path
    )


# --- Ids and text ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "stored_id"),
    [
        ('"r1"', "r1"),
        ("17", "17"),
        ("0", "0"),
        ("-5", "-5"),
        ("9223372036854775807", "9223372036854775807"),
        ("9223372036854775808", "9223372036854775808"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("1.5", "1.5"),
        ("1e400", "1e400"),
        ('"🙂 é"', "🙂 é"),
    ],
)
def test_id_becomes_text(text, stored_id, tmp_path):
    body = raw_page(f'{{"id":{text},"created_time":"2026-01-31T09:00:00Z"}}')
    (row,) = decode_response_page(body).results
    assert columns(row, SURVEY_RESPONSES, tmp_path)["response_id"] == stored_id


@pytest.mark.parametrize(
    ("value", "text"),
    [(9, "9"), (9.5, "9.5"), (True, "true"), ("", ""), ("x" * 100_000, "x" * 100_000)],
    ids=["number", "float", "boolean", "empty", "long"],
)
def test_text_may_come_as_something_else(value, text, tmp_path):
    row = columns(response(answers=[{"answer": value}]), SURVEY_RESPONSES, tmp_path)
    assert row["answers"][0]["answer"] == text
    assert row["extra"] is None


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (r"a\ud800b", "a\ufffdb"),
        (r"a\udc00\ud800b", "a\ufffd\ufffdb"),
        (r"a\u0000b", "a\ufffdb"),
        (r"\ud83d\ude42", "🙂"),
        (r"a\\u0000b", r"a\u0000b"),
        ("a\x00b", "a\ufffdb"),
        ("a\nb\tc", "a\nb\tc"),
    ],
    ids=[
        "lone-surrogate",
        "reversed-surrogates",
        "nul",
        "pair",
        "escaped-backslash",
        "raw-nul",
        "raw-control",
    ],
)
def test_text_that_no_column_holds_is_mended(escaped, text, tmp_path):
    found = columns(response_of(f'"browser":"{escaped}"'), SURVEY_RESPONSES, tmp_path)
    assert (found["browser"], found["extra"]) == (text, None)
    row = response_of(f'"browser":"{escaped}","new":{{"k{escaped}":["{escaped}"]}}')
    found = columns(row, SURVEY_RESPONSES, tmp_path)
    assert found["browser"] == text
    assert json.loads(found["extra"]) == {"new": {f"k{text}": [text]}}


# --- Numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", "5"),
        ("12.50", "12.5"),
        ("0.1", "0.1"),
        ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("9223372036854775808", '"9223372036854775808"'),
        ("18446744073709551616", '"18446744073709551616"'),
        ("1e400", '"1e400"'),
        ("-1e400", '"-1e400"'),
        ("1e-400", '"1e-400"'),
        ("1e-99999999999999999999", '"1e-99999999999999999999"'),
        ("0.1000000000000000055511151231257827", '"0.1000000000000000055511151231257827"'),
        # 16 characters, which a double always keeps; 17 and 18, which it does not.
        ("9007199254740.93", "9007199254740.93"),
        ("0.12345678901234", "0.12345678901234"),
        ("900719925474099.3", '"900719925474099.3"'),
        ("-90071992547409.93", '"-90071992547409.93"'),
        ("9007199254740993.5", '"9007199254740993.5"'),
        ("12345678901234567.5", '"12345678901234567.5"'),
        ("123456789012345678e3", '"123456789012345678e3"'),
        ("NaN", '"NaN"'),
        ("-Infinity", '"-Infinity"'),
        ("9" * 5_000, '"' + "9" * 5_000 + '"'),
    ],
    ids=lambda text: text[:24],
)
@pytest.mark.parametrize("unknown", ["", ',"new":1'], ids=["alone", "tolerant"])
def test_number_is_kept_to_its_last_digit(text, value, unknown, tmp_path):
    row = response_of(f'"user_attributes":[{{"name":"n","value": {text}}}]{unknown}')
    found = columns(row, SURVEY_RESPONSES, tmp_path)
    assert found["user_attributes"] == [{"name": "n", "value": value}]


@pytest.mark.parametrize("text", ["1e400", "18446744073709551616", "1e-99999999999999999999"])
def test_long_number_in_an_unknown_field_is_kept(text, tmp_path):
    found = columns(response_of(f'"new":[{text}]'), SURVEY_RESPONSES, tmp_path)
    assert json.loads(found["extra"]) == {"new": [text]}


# --- Instants ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-31T09:00:00Z", NINE),
        ("2026-01-31T09:00:00+00:00", NINE),
        ("2026-01-31T14:30:00+05:30", NINE),
        ("2026-01-31T09:00:00", NINE),
        ("2026-01-31 09:00:00", NINE),
        ("2026-01-31T09:00", NINE),
        (" 2026-01-31t09:00:00z ", NINE),
        ("2026-01-31T09:00:00.123456Z", NINE.replace(microsecond=123_456)),
        ("2026-01-31T09:00:00.123456789Z", NINE.replace(microsecond=123_457)),
        ("2026-01-31T09:00:00.999999999Z", NINE.replace(second=1)),
        ("1969-07-20T20:17:40Z", datetime(1969, 7, 20, 20, 17, 40, tzinfo=UTC)),
    ],
)
@pytest.mark.parametrize("unknown", [{}, {"new": 1}], ids=["alone", "tolerant"])
def test_instant_is_read_in_every_usual_form(text, instant, unknown, tmp_path):
    row = response(created_time=text, **unknown)
    assert row.created_time == instant
    assert columns(row, SURVEY_RESPONSES, tmp_path)["created_at"] == instant


# --- Fields that do not fit --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "extra"),
    [
        ({"new": {"deep": [1, None]}}, {"new": {"deep": [1, None]}}),
        ({"new": None}, {"new": None}),
        ({"is_complete": "yes"}, {"is_complete": "yes"}),
        ({"device": {"kind": "tv"}}, {"device": {"kind": "tv"}}),
        ({"browser": ["a"]}, {"browser": ["a"]}),
        ({"window_size": "1280x720"}, {"window_size": "1280x720"}),
        ({"window_size": [1280, 720]}, {"window_size": [1280, 720]}),
        ({"window_size": {"width": -1, "depth": 3}},) * 2,
        ({"user_attributes": {"plan": "pro"}}, {"user_attributes": {"plan": "pro"}}),
        ({"user_attributes": ["pro"]}, {"user_attributes[0]": "pro"}),
        ({"answers": "none"}, {"answers": "none"}),
        ({"answers": [{}, {}, {"ai_summary": "s"}]}, {"answers[2].ai_summary": "s"}),
        ({"answers": [{"answer": ["a", "b"]}]}, {"answers[0].answer": ["a", "b"]}),
        ({"answers": [{"tags": "pricing"}]}, {"answers[0].tags": "pricing"}),
        ({"answers": [{"tags": [{"id": 3}]}]}, {"answers[0].tags[0].id": 3}),
        ({"answers": [{"tags": [["x"]]}]}, {"answers[0].tags[0]": ["x"]}),
    ],
    ids=lambda value: json.dumps(value)[:40],
)
def test_what_no_column_holds_is_kept_by_its_place(fields, extra, tmp_path):
    if extra is fields:
        extra = {f"window_size.{name}": value for name, value in fields["window_size"].items()}
    found = columns(response(**fields), SURVEY_RESPONSES, tmp_path)
    assert json.loads(found["extra"]) == extra


@pytest.mark.parametrize(
    ("value", "complete"),
    [("true", True), ("false", False), (1, True), (0, False), (None, None)],
)
def test_boolean_may_come_as_text_or_number(value, complete):
    row = response(is_complete=value)
    assert (row.is_complete, row.extra) == (complete, None)


@pytest.mark.parametrize(
    ("value", "width"), [("1280", 1280), (" 1280 ", 1280), (1280.0, 1280), (2**31 - 1,) * 2]
)
def test_width_may_come_as_text_or_float(value, width):
    row = response(window_size={"width": value})
    assert row.window_size is not None
    assert (row.window_size.width, row.extra) == (width, None)


@pytest.mark.parametrize("value", [-1, 2**31, 1.5, "wide", "1280px", True, [1280]])
def test_width_that_is_none_is_kept_aside(value):
    row = response(window_size={"width": value, "height": 720})
    assert row.window_size is not None
    assert (row.window_size.width, row.window_size.height) == (None, 720)
    assert row.extra == {"window_size.width": value}


def test_tags_may_be_plain_text(tmp_path):
    row = response(answers=[{"question_id": "q1", "tags": ["pricing", {"name": "speed"}, 7]}])
    found = columns(row, SURVEY_RESPONSES, tmp_path)
    assert found["answers"][0]["tags"] == ["pricing", "speed", "7"]
    assert found["extra"] is None


def test_attribute_value_may_be_any_json(tmp_path):
    row = response(user_attributes=[{"name": "n", "value": {"a": [1, "x"]}}])
    found = columns(row, SURVEY_RESPONSES, tmp_path)
    assert json.loads(found["user_attributes"][0]["value"]) == {"a": [1, "x"]}


def test_item_that_does_not_fit_keeps_its_place():
    row = response(answers=[{"answer": "a"}, "b", None, {"answer": "d"}])
    assert [answer.answer for answer in row.answers or ()] == ["a", None, None, "d"]
    assert row.extra == {"answers[1]": "b"}


def test_choices_may_be_text_or_objects(tmp_path):
    questions = [{"id": "q1", "choices": ["Price", {"text": "Speed", "allow_comment": True}, 3]}]
    survey = decode_survey(json.dumps(survey_row(questions=questions)).encode())
    assert columns(survey, SURVEYS, tmp_path)["questions"][0]["choices"] == [
        {"text": "Price", "allow_comment": None},
        {"text": "Speed", "allow_comment": True},
        {"text": "3", "allow_comment": None},
    ]


def test_unknown_fields_of_a_survey_are_kept_by_their_place(tmp_path):
    survey = decode_survey(
        json.dumps(
            survey_row(
                theme={"dark": True},
                updated_time="soon",
                questions=[{}, {"labels": ["a"], "choices": [{"text": "x", "score": 2}]}],
            )
        ).encode()
    )
    assert json.loads(columns(survey, SURVEYS, tmp_path)["extra"]) == {
        "theme": {"dark": True},
        "updated_time": "soon",
        "questions[1].labels": ["a"],
        "questions[1].choices[0].score": 2,
    }


# --- Comment and tags on the response ----------------------------------------------------------


ON_RESPONSE = {"comment": "fine", "tags": ["pricing"]}


def test_comment_and_tags_of_the_response_go_to_its_only_answer(tmp_path):
    row = response(answers=[{"question_id": "q1", "answer": "9"}], **ON_RESPONSE)
    found = columns(row, SURVEY_RESPONSES, tmp_path)
    assert found["answers"] == [
        {
            "question_id": "q1",
            "answer": "9",
            "comment": "fine",
            "tags": ["pricing"],
            "sentiment": None,
        }
    ]
    assert found["extra"] is None


@pytest.mark.parametrize(
    "answers",
    [None, [], [{"answer": "9"}, {"answer": "a"}]],
    ids=["null", "none", "several"],
)
def test_comment_and_tags_of_the_response_are_kept_when_whose_is_open(answers):
    row = response(answers=answers, **ON_RESPONSE)
    assert row.extra == ON_RESPONSE
    assert all(answer.comment is None and answer.tags is None for answer in row.answers or ())


def test_comment_and_tags_of_the_answer_are_not_replaced():
    own = {"answer": "9", "comment": "own", "tags": [{"name": "own"}]}
    row = response(answers=[own], **ON_RESPONSE)
    assert row.extra == ON_RESPONSE
    assert (row.answers or [])[0].comment == "own"


@pytest.mark.parametrize(
    "fields",
    [{"tags": "pricing"}, {"comment": ["a"]}, {"tags": [{"name": "a", "id": 3}]}],
    ids=["tags-as-text", "comment-as-list", "tag-with-more"],
)
def test_comment_or_tags_that_do_not_fit_the_answer_stay_whole(fields):
    row = response(answers=[{"answer": "9"}], **fields)
    assert row.extra == fields


# --- What is refused ---------------------------------------------------------------------------


GOOD_TIME = "2026-01-31T09:00:00Z"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"created_time": GOOD_TIME}, "results[1].id: is missing"),
        ({"id": None, "created_time": GOOD_TIME}, "results[1].id: is not the id"),
        ({"id": "", "created_time": GOOD_TIME}, "results[1].id: is not the id"),
        ({"id": ["SECRET"], "created_time": GOOD_TIME}, "results[1].id: is not the id"),
        ({"id": "r1"}, "results[1].created_time: is missing"),
        ({"id": "r1", "created_time": None}, "results[1].created_time: is not the instant"),
        ({"id": "r1", "created_time": "SECRET"}, "results[1].created_time: is not the instant"),
        ({"id": "r1", "created_time": 1769850000}, "results[1].created_time: is not the instant"),
        ({"id": "r1", "created_time": "2026-01-31"}, "results[1].created_time: is not the instant"),
        ({"id": "r1", "created_time": "2026-02-30T09:00:00Z"}, "results[1].created_time: is not"),
        ("SECRET", "results[1]: is not an object"),
        (["SECRET"], "results[1]: is not an object"),
        (None, "results[1]: is not an object"),
        (7, "results[1]: is not an object"),
    ],
    ids=lambda value: json.dumps(value)[:50],
)
def test_row_that_cannot_be_keyed_or_ordered_is_refused_by_its_path(row, problem):
    with pytest.raises(HotjarSchemaError) as caught:
        decode_response_page(page_of(response_row(), row))
    assert str(caught.value).startswith(problem)
    assert caught.value.path == problem.partition(":")[0]
    assert "SECRET" not in repr(caught.value)


@pytest.mark.parametrize(
    "row", [{"name": "x"}, {"id": None}, {"id": ""}], ids=["missing", "null", "empty"]
)
def test_survey_without_an_id_is_refused_by_its_path(row):
    with pytest.raises(HotjarSchemaError, match=r"results\[0\]\.id"):
        decode_survey_page(page_of(row))


def test_one_refused_row_refuses_the_page_and_loses_none_silently():
    rows = [response_row(f"r{n}") for n in range(99)]
    with pytest.raises(HotjarSchemaError, match=r"results\[99\]"):
        decode_response_page(page_of(*rows, {"id": "r99"}))
