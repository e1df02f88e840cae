"""What a partition shows of its survey: a picture, and how often which choice was made."""

import re
from datetime import date, timedelta
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotjar_assets import materializations
from hotjar_assets.pictures import picture
from hotjar_assets.sandbox import Fault, SandboxAccount
from hotjar_assets.warehouse import trends
from hotjar_assets.warehouse.trends import OTHER, Span, Trend
from hotjar_assets_tests.dagster.model import CLOCK, SURVEY_IDS, deployed

INLINE = 1000
"""From so many characters on, Dagster's UI keeps Markdown behind a click."""
SECRET = "call me on 555-0100"
QUESTIONS = [
    {"id": "score", "type": "nps", "text": "Would you recommend us?"},
    {"id": "why", "type": "long-text", "text": "Why?"},
    {
        "id": "choice",
        "type": "single-option",
        "text": "Which?",
        "choices": [{"text": text, "allow_comment": True} for text in ("Red & blue", "None")],
    },
    {"id": "mail", "type": "email", "text": "Your address?"},
]


def answers(score, choice):
    said = {"score": score, "why": SECRET, "choice": choice, "mail": "somebody@example.com"}
    return [
        {"question_id": key, "answer": text, "comment": SECRET, "tags": []}
        for key, text in said.items()
    ]


@pytest.fixture
def asked(tmp_path):
    """A deployment over one survey: two promoters, a detractor, and what nobody offered."""
    account = SandboxAccount(clock=CLOCK, blueprints=())
    account.add_survey("Shop", survey_id="shop", questions=QUESTIONS)
    for score, choice in (("10", "Red & blue"), ("9", SECRET), ("0", "Red & blue"), ("x", "None")):
        account.add_responses("shop", answers=answers(score, choice))
    with deployed(tmp_path, account) as deployment:
        deployment.add_partitions(["shop"])
        yield deployment


def shown(deployment, **options):
    """Run over the survey and return what its partition shows."""
    result = deployment.run(keys=["shop"], **options)
    assert result.success
    ((_, figures),) = deployment.materialized(result)
    return figures


def drawn(markdown):
    """Return what a browser makes of the picture: its parsed SVG."""
    found = re.fullmatch(r"!\[[^]]+\]\(<data:image/svg\+xml,(.+)>\)", markdown)
    assert found
    url = found.group(1)
    return ET.fromstring(unquote(re.sub(r"\\(.)", r"\1", url)))  # noqa: S314 - our own


def texts(svg):
    return [element.text for element in svg.iter() if element.text]


def test_a_partition_shows_a_picture_and_what_was_chosen(asked):
    figures = shown(asked)
    assert len(figures["picture"]) < INLINE
    svg = drawn(figures["picture"])
    assert "responses a day: 4, 4 in all" in texts(svg)
    assert figures["survey"].startswith("https://")
    columns = [column.name for column in figures["answers"].schema.columns]
    table = [tuple(map(row.data.get, columns)) for row in figures["answers"].records]
    assert table == [
        ("Would you recommend us?", "0", 1, 33.3),
        ("", "9", 1, 33.3),
        ("", "10", 1, 33.3),
        ("Which?", "Red & blue", 2, 50.0),
        ("", "None", 1, 25.0),
        ("", OTHER, 1, 25.0),
    ]


def test_nothing_that_somebody_wrote_is_shown(asked):
    told = str(shown(asked))
    assert "555-0100" not in told
    assert "@example.com" not in told


def test_what_did_not_change_is_not_drawn_again(asked, monkeypatch):
    first = shown(asked)

    def refuse(_trend):
        raise AssertionError

    monkeypatch.setattr("hotjar_assets.pictures.picture", refuse)
    second = shown(asked)
    assert (second["new"], second["picture"], second["answers"]) == (
        0,
        first["picture"],
        first["answers"],
    )


def test_new_answers_make_a_new_picture(asked):
    before = shown(asked)
    asked.account.add_responses("shop", answers=answers("10", "None"))
    after = shown(asked)
    assert after["picture"] != before["picture"]
    assert [record.data["answers"] for record in after["answers"].records] == [1, 1, 2, 2, 2, 1]


def test_answers_that_are_gone_make_a_new_picture(asked):
    before = shown(asked)
    asked.account.delete_response("shop", asked.account.responses("shop")[-1]["id"])
    after = shown(asked, job="reconcile_job")
    assert (after["new"], after["updated"], after["deleted"]) == (0, 0, 1)
    assert after["picture"] != before["picture"]
    assert [record.data["answers"] for record in after["answers"].records] == [1, 1, 1, 1, 1]


def test_a_run_can_do_without(asked):
    config = {"ops": {"hotjar__survey_responses": {"config": {"pictures": False}}}}
    assert not {"picture", "answers"} & shown(asked, config=config).keys()


@pytest.mark.parametrize("most", [3, 4], ids=["over too many", "over as many as may be"])
def test_a_run_over_many_surveys_shows_no_picture(most, known, monkeypatch):
    monkeypatch.setattr(materializations, "MOST_PICTURES", most)
    found = dict(known.materialized(known.run(keys=SURVEY_IDS)))
    with_rows = {"101", "102", "104"} if most == len(SURVEY_IDS) else set()
    assert {key for key, figures in found.items() if "picture" in figures} == with_rows


def test_a_survey_with_very_many_responses_shows_no_picture(known, monkeypatch):
    monkeypatch.setattr(materializations, "MOST_RESPONSES", 119)
    found = dict(known.materialized(known.run(keys=SURVEY_IDS)))
    assert {key for key, figures in found.items() if "picture" in figures} == {"101", "104"}


def test_a_survey_that_needs_more_memory_than_pictures_may_take_has_none(asked, monkeypatch):
    monkeypatch.setattr(trends, "_MEMORY_LIMIT", "1MB")
    figures = shown(asked)
    assert "picture" not in figures
    assert figures["new"] == 4


def test_a_picture_is_shown_beside_a_survey_that_failed(known):
    known.server.faults.add(Fault("403", path="responses", survey_id="101"))
    result = known.run(keys=SURVEY_IDS)
    assert not result.success
    assert "picture" in dict(known.materialized(result))["102"]


# --- The picture itself -------------------------------------------------------------------------


def trend(responses, scores, days=1, name="NPS"):
    first = date(1999, 12, 31)
    spans = [
        Span(first + timedelta(days=days * place), count, 0 if score is None else count, score)
        for place, (count, score) in enumerate(zip(responses, scores, strict=True))
    ]
    return Trend(first, days, spans, name, [])


many = st.integers(1, trends.MOST_SPANS).flatmap(
    lambda length: st.tuples(
        st.lists(st.integers(1, 10**7), min_size=length, max_size=length),
        st.lists(st.none() | st.floats(-100, 100), min_size=length, max_size=length),
        st.integers(1, 400),
        st.sampled_from([None, "NPS", "CSAT %"]),
    )
)


@given(many)
@settings(max_examples=20)
def test_every_picture_is_small_enough_to_stand_in_its_place(given_):
    markdown = picture(trend(*given_))
    assert len(markdown) < INLINE
    assert [text for text in texts(drawn(markdown)) if text.startswith("responses ")]


def test_the_longest_picture_stands_in_its_place():
    zigzag = [(1, 10**7)[place % 2] for place in range(trends.MOST_SPANS)]
    scores = [(-99.6, 99.6)[place % 2] for place in range(trends.MOST_SPANS)]
    assert len(picture(trend(zigzag, scores, days=365, name="CSAT %"))) < INLINE


@pytest.mark.parametrize(("days", "unit"), [(1, "a day"), (7, "in 7 days")], ids=["days", "weeks"])
def test_the_axes_tell_days_the_newest_values_their_unit_and_of_how_many(days, unit):
    begins_on = date(1999, 12, 31)

    svg = drawn(picture(trend([5, 1200, 34], [10, None, 25.4], days=days)))

    ends_on = begins_on + timedelta(days=2 * days)
    assert sorted(texts(svg)) == sorted(
        [
            f"responses {unit}: 34, 1,239 in all",
            "NPS: 25 (n = 34)",
            *("0", "1200", "10", "25"),
            *(f"{day:%d %b %Y}" for day in (begins_on, begins_on + timedelta(days=days), ends_on)),
        ]
    )


def test_a_label_of_an_axis_is_written_once():
    one_day = texts(drawn(picture(trend([3], [10]))))
    assert sorted(one_day) == ["0", "3", "31 Dec 1999", "responses a day: 3, 3 in all"]

    near_zero = texts(drawn(picture(trend([1, 1], [-0.4, 0.3]))))
    assert sorted(near_zero) == sorted(
        [
            *("0", "1", "0", "31 Dec 1999", "01 Jan 2000"),
            *("NPS: 0 (n = 1)", "responses a day: 1, 2 in all"),
        ]
    )


def test_a_picture_has_no_ground_and_no_colour_that_one_theme_swallows():
    svg = drawn(picture(trend([1, 2], [10, None])))
    colours = {
        colour
        for element in svg.iter()
        for name in ("fill", "stroke")
        if (colour := element.get(name, "none")) != "none"
    }
    assert colours
    for colour in colours:
        luminance = sum(int(digit, 16) for digit in colour[1:]) / 45
        assert 0.3 < luminance < 0.7, colour
    assert not list(svg.iter("{http://www.w3.org/2000/svg}rect"))
