"""What holds for every row: both decoders agree, and nothing that the API sent is lost."""

import copy
import json
import tempfile
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Struct

from hotjar_assets.api import decoding
from hotjar_assets.api.coercion import response_from_json
from hotjar_assets.api.decoding import decode_response_page, decode_survey, encode_lines
from hotjar_assets.api.json_values import parse_json
from hotjar_assets.api.records import Choice, Tag
from hotjar_assets.errors import HotjarSchemaError
from hotjar_assets.schema import SURVEY_RESPONSES, SURVEYS
from hotjar_assets_tests.api.model import stored

# --- Rows of the documented shape --------------------------------------------------------------

TEXT = st.text(st.characters(exclude_characters="\x00", codec="utf-8"), max_size=12)
INTEGER = st.integers(-(2**63), 2**63 - 1)
LOOSE_TEXT = TEXT | INTEGER
ID = st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1, max_size=12)
PIXELS = st.integers(0, 2**31 - 1)
FLAG = st.booleans()
INSTANT = st.builds(
    "{0:%Y-%m-%dT%H:%M:%S}{1}{2}".format,
    st.datetimes(
        min_value=datetime(1990, 1, 1),  # noqa: DTZ001 - the zone is drawn beside it
        max_value=datetime(2090, 1, 1),  # noqa: DTZ001 - (the same)
    ),
    st.just("") | st.integers(0, 10**9 - 1).map(".{}".format),
    st.sampled_from(["Z", "+00:00", "-03:30", "+14:00"]),
)


def objects(required=None, **optional):
    """Objects whose optional fields may be absent or null."""
    maybe = {name: st.none() | field for name, field in optional.items()}
    return st.fixed_dictionaries(required or {}, optional=maybe)


ANSWER = objects(
    question_id=LOOSE_TEXT,
    answer=LOOSE_TEXT,
    comment=LOOSE_TEXT,
    tags=st.lists(objects(name=LOOSE_TEXT), max_size=2),
    sentiment=st.sampled_from(["positive", "negative", "neutral"]),
)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
ATTRIBUTE = objects(name=LOOSE_TEXT, value=TEXT | INTEGER | FINITE | FLAG)
RESPONSE = objects(
    {"id": ID | INTEGER, "created_time": INSTANT},
    is_complete=FLAG,
    device=LOOSE_TEXT,
    browser=LOOSE_TEXT,
    os=LOOSE_TEXT,
    country=LOOSE_TEXT,
    hotjar_user_id=LOOSE_TEXT,
    recording_url=LOOSE_TEXT,
    response_origin_url=LOOSE_TEXT,
    window_size=objects(width=PIXELS, height=PIXELS),
    user_attributes=st.lists(ATTRIBUTE, max_size=2),
    answers=st.lists(ANSWER, max_size=3),
)
CHOICE = LOOSE_TEXT | objects(text=LOOSE_TEXT, allow_comment=FLAG)
QUESTION = objects(
    id=LOOSE_TEXT,
    text=LOOSE_TEXT,
    type=LOOSE_TEXT,
    is_required=FLAG,
    choices=st.lists(CHOICE, max_size=2),
    labels=objects(low_label=LOOSE_TEXT, high_label=LOOSE_TEXT),
    image_url=LOOSE_TEXT,
)
SURVEY = objects(
    {"id": ID | INTEGER},
    name=LOOSE_TEXT,
    type=LOOSE_TEXT,
    language=LOOSE_TEXT,
    url=LOOSE_TEXT,
    responses_url=LOOSE_TEXT,
    is_enabled=FLAG,
    created_time=INSTANT,
    updated_time=INSTANT,
    sentiment_analysis_enabled=FLAG,
    questions=st.lists(QUESTION, max_size=2),
)


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@given(rows=st.lists(RESPONSE, min_size=1, max_size=4), ascii_only=st.booleans())
@example(rows=[{"id": -(2**63), "created_time": "2026-01-31T09:00:00.9999999Z"}], ascii_only=True)
def test_both_decoders_store_the_same(rows, ascii_only, folder):
    text = json.dumps(rows, ensure_ascii=ascii_only)
    fast = decoding._RESPONSES.decode(text)
    tolerant = [
        response_from_json(row, f"results[{n}]") for n, row in enumerate(parse_json(text.encode()))
    ]
    cells = stored([*fast, *tolerant], SURVEY_RESPONSES, folder)
    assert cells[: len(rows)] == cells[len(rows) :]
    assert [row["extra"] for row in cells] == [None] * len(cells)
    assert [row["response_id"] for row in cells[: len(rows)]] == [str(row["id"]) for row in rows]


# --- Rows of any shape -------------------------------------------------------------------------

ANY_TEXT = st.text(max_size=8)
JSON = st.recursive(
    st.none() | FLAG | INTEGER | st.integers(2**63, 2**80) | FINITE | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=6,
)
UNKNOWN = st.from_regex(r"x_[a-z]{1,4}", fullmatch=True)


def places(value, path=()):
    """Yield the path of a value and of all that is in it."""
    yield path
    children = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, child in children:
        yield from places(child, (*path, key))


def at(value, path):
    for key in path:
        value = value[key]
    return value


@st.composite
def changed(draw, rows):
    """Draw a row and change it in some places: values replaced, removed, and added."""
    row = copy.deepcopy(draw(rows))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(row))))
        target = at(row, path)
        if isinstance(target, dict) and draw(st.booleans()):
            target[draw(UNKNOWN)] = draw(JSON)
        elif path and draw(st.booleans()):
            at(row, path[:-1])[path[-1]] = draw(JSON)
        elif path:
            del at(row, path[:-1])[path[-1]]
    return row


def cleaned(value):
    """Return the value as it may stand in `extra`: numbers beyond 64 bits are text."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, list):
        return [cleaned(item) for item in value]
    if isinstance(value, dict):
        return {cleaned(key): cleaned(item) for key, item in value.items()}
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return str(value)
    return value


def is_same(value, field):
    """Say whether the decoded field stands for the scalar that was sent."""
    if isinstance(field, bool):
        return value in {True, False, "true", "false"}  # 1 and 0 are equal to these
    if isinstance(field, int):
        return int(value) == field
    if isinstance(field, float):
        return value == field
    if isinstance(field, str):
        return field in {cleaned(value), json.dumps(value)}
    return isinstance(field, datetime)


def lost(value, field, extra, path):
    """Yield the places of what was sent and is neither in the record nor in `extra`."""
    if path in extra:
        is_lost = extra[path] != cleaned(value)
    elif isinstance(field, Struct) and value is not None:
        yield from lost_of_object(value, field, extra, path)
        return
    elif isinstance(field, list) and isinstance(value, list) and len(field) == len(value):
        for n, item in enumerate(value):
            yield from lost(item, field[n], extra, f"{path}[{n}]")
        return
    elif isinstance(value, dict | list):
        # Only the value of an attribute takes any JSON.
        is_lost = field != cleaned(value)
    else:
        is_lost = value is not None and not is_same(value, field)
    if is_lost:
        yield path


def lost_of_object(value, record, extra, path):
    if isinstance(record, Choice | Tag) and not isinstance(value, dict):
        value = {"text" if isinstance(record, Choice) else "name": value}
    if not isinstance(value, dict):
        yield path
        return
    names = {field.encode_name: field.name for field in msgspec.structs.fields(type(record))}
    for name, item in value.items():
        place = f"{path}.{name}" if path else name
        if name in names:
            yield from lost(item, getattr(record, names[name]), extra, place)
        elif place not in extra or extra[place] != cleaned(item):
            yield place


def decoded_or_refused(decode, row):
    """Return the record and no path, or no record and the path by which it was refused."""
    try:
        return decode(row), None
    except HotjarSchemaError as error:
        return None, error.path


@given(row=changed(RESPONSE))
def test_changed_response_is_refused_with_its_path_or_loses_nothing(row, folder):
    def decode(row):
        return decode_response_page(json.dumps({"results": [row]}).encode()).results[0]

    decoded, refused = decoded_or_refused(decode, row)
    if decoded is None:
        assert refused in {"results[0].id", "results[0].created_time"}
        return
    (cells,) = stored([decoded], SURVEY_RESPONSES, folder)
    assert cells["response_id"] == str(decoded.id)
    extra = json.loads(cells["extra"] or "{}")
    assert list(lost_of_object(row, decoded, extra, "")) == []


@given(survey=changed(SURVEY))
def test_changed_survey_is_refused_with_its_path_or_loses_nothing(survey, folder):
    decoded, refused = decoded_or_refused(
        lambda survey: decode_survey(json.dumps(survey).encode()), survey
    )
    if decoded is None:
        assert refused == "survey.id"
        return
    (cells,) = stored([decoded], SURVEYS, folder)
    assert cells["survey_id"] == str(decoded.id)
    extra = json.loads(cells["extra"] or "{}")
    assert list(lost_of_object(survey, decoded, extra, "")) == []


@given(row=JSON)
def test_row_that_is_any_json_raises_nothing_unexpected(row):
    with pytest.raises(HotjarSchemaError, match=r"results\[0\]"):
        decode_response_page(json.dumps({"results": [row]}).encode())


@given(
    rows=st.lists(RESPONSE, max_size=2),
    start=st.floats(0, 1),
    length=st.integers(0, 8),
    inserted=st.binary(max_size=4),
)
def test_damaged_bytes_raise_nothing_unexpected(rows, start, length, inserted):
    whole = json.dumps({"results": rows, "next_cursor": "A", "total": 2}).encode()
    position = int(start * len(whole))
    damaged = whole[:position] + inserted + whole[position + length :]
    try:
        page = decode_response_page(damaged)
    except (ValueError, HotjarSchemaError):
        return
    lines = encode_lines(page.results).splitlines()
    assert len(lines) == len(page.results)
    assert all(json.loads(line)["id"] != "" for line in lines)
