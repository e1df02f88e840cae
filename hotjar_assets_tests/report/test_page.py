"""What a page holds, loads and hides."""

import re

import duckdb
import pytest

from hotjar_assets.config import PiiMode
from hotjar_assets.privacy import Privacy
from hotjar_assets_tests.report.model import (
    ARABIC,
    IMAGE,
    LONG,
    SCRIPT,
    TODAY,
    Page,
    hard_account,
    page,
    stored,
    summaries,
)


@pytest.fixture(scope="module")
def html(hard):
    return page(hard)


@pytest.fixture(scope="module")
def parsed(html):
    return Page(html)


def test_nothing_is_loaded(html, parsed):
    assert not {"script", "link", "img", "iframe", "object", "embed", "base"} & parsed.tags.keys()
    loading = {"src", "srcset", "data", "poster", "action", "background", "style"}
    for _, name, value in parsed.attributes:
        if name in {"href", "xlink:href"}:
            assert value.startswith("#"), value
        elif name in loading:
            assert "url(" not in value.replace("url(#", ""), value
        else:
            assert not re.search("//", value), (name, value)
    assert not re.search(r"@import|url\(", parsed.style)
    (policy,) = [value for value in parsed.values("content") if "default-src" in value]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    # Outside of what people wrote, no address of anything.
    assert set(re.findall(r"\w+://[^\s\"'<>]+", html)) == {"https://evil.example/x"}


def test_what_people_wrote_is_text(html, parsed):
    assert parsed.text.count(SCRIPT) > 5
    assert IMAGE in parsed.text
    assert not [name for _, name, _ in parsed.attributes if name.startswith("on")]
    assert "<script" not in html
    assert "<img" not in html


def test_a_page_is_well_made(parsed):
    ids = parsed.values("id")
    assert len(ids) == len(set(ids))
    pointed = {value.removeprefix("#") for value in parsed.values("href")}
    pointed |= {value.removeprefix("#") for value in parsed.values("xlink:href")}
    pointed |= set(parsed.values("aria-labelledby"))
    assert pointed <= set(ids)
    assert parsed.headings[0] == 1
    assert parsed.headings.count(1) == 1
    steps = zip(parsed.headings, parsed.headings[1:], strict=False)
    assert all(after - before <= 1 for before, after in steps)
    described = [tag for tag, name, _ in parsed.attributes if name == "aria-label"]
    pictures = [value for value in parsed.values("role") if value in {"img", "region"}]
    assert len(described) - described.count("table") == len(pictures) > 0
    assert parsed.tags["svg"] == 4


def test_every_survey_is_in_the_overview(parsed):
    links = [value for value in parsed.values("href") if re.fullmatch(r"#s\d+", value)]

    assert links == ["#s1", "#s2", "#s3", "#s4", "#s5"]
    assert "5 surveys, 20 responses" in parsed.text


def test_a_page_of_one_survey_has_no_overview(hard):
    one = Page(page(hard, wanted=["4"]))

    assert "Overview" not in one.text
    assert not [value for value in one.values("href") if value.startswith("#s")]
    assert f"{ARABIC}: Survey report" in one.text


def test_hard_surveys_can_be_read(parsed):
    assert "No responses yet." in parsed.text
    assert "n = 1: too few to rely on" in parsed.text
    assert ARABIC in parsed.text
    assert LONG[:700].strip() + " …" in parsed.text
    assert LONG[:710] not in parsed.text
    assert all(f"Q {n}" in parsed.text for n in range(200))


def test_an_e_mail_address_is_never_shown(html, parsed):
    assert "jo@example.com" not in html
    assert "write to [e-mail address]" in parsed.text
    assert parsed.text.count("[e-mail address]") == 1


def test_without_comments_nobody_is_quoted(hard):
    quiet = Page(page(hard, comments=False))

    assert "write to" not in quiet.text
    assert "in my own words" not in quiet.text
    # The question's own choices stay, with how often each was taken.
    assert SCRIPT in quiet.text
    assert "All other answers" in quiet.text


def test_a_database_without_personal_values_quotes_nobody_unless_asked(tmp_path):
    privacy = Privacy(PiiMode.HASH, b"a key of this test")
    database = stored(hard_account(), tmp_path / "private.duckdb", privacy=privacy)

    asked = page(database, wanted=["1"], comments=True)

    assert "write to [e-mail address]" in asked
    assert "hmac:" not in asked
    for mode in ("hash", "drop"):
        with duckdb.connect(str(database)) as connection:
            connection.execute("UPDATE hotjar.meta SET value = ? WHERE name = 'pii'", [mode])
        quiet = page(database, wanted=["1"])
        assert "write to" not in quiet
        assert f"HOTJAR_PII={mode}" in quiet


@pytest.fixture(scope="module")
def odd_html(odd):
    return page(odd)


def test_no_id_of_a_visitor_and_no_address_of_a_page_is_shown(odd, odd_html):
    with duckdb.connect(str(odd)) as connection:
        personal = connection.execute(
            "SELECT DISTINCT unnest([hotjar_user_id, response_origin_url, recording_url]) "
            "FROM hotjar.survey_responses"
        ).fetchall()

    assert len(personal) > 100
    assert [value for (value,) in personal if value and value in odd_html] == []


def test_the_footer_says_what_the_data_is(odd, odd_html):
    text = Page(odd_html).text

    assert "The sandbox account: everything here is made up" in text
    assert str(odd) in text
    assert f"{summaries(odd).synced_at:%H:%M} UTC" in text


def test_rows_of_a_survey_that_is_not_listed_are_shown_by_its_id(odd, tmp_path):
    copy = tmp_path / "imported.duckdb"
    copy.write_bytes(odd.read_bytes())
    with duckdb.connect(str(copy)) as connection:
        connection.execute(
            "UPDATE hotjar.survey_responses SET survey_id = 'imported' WHERE survey_id = '1204511'"
        )

    assert "imported" in {survey.survey_id for survey in summaries(copy).surveys}


def test_days_to_come_and_long_past_have_no_place_in_the_trend(odd, tmp_path):
    copy = tmp_path / "far.duckdb"
    copy.write_bytes(odd.read_bytes())
    with duckdb.connect(str(copy)) as connection:
        sql = "UPDATE hotjar.survey_responses SET created_at = ? WHERE response_id = ?"
        ids = connection.execute(
            "SELECT response_id FROM hotjar.survey_responses WHERE survey_id = '1204501' LIMIT 2"
        ).fetchall()
        for at, (response_id,) in zip(
            ["25000-01-01 00:00:00+00", "1970-01-01 00:00:00+00"], ids, strict=True
        ):
            connection.execute(sql, [at, response_id])

    (survey,) = summaries(copy, wanted=["1204501"]).surveys

    assert (survey.first_on, survey.last_on) == ("1970-01-01", "25000-01-01")
    assert sum(period.responses for period in survey.periods) == survey.responses - 2
    assert max(period.starts_on for period in survey.periods) <= TODAY
    assert "25000-01-01" in page(copy, wanted=["1204501"])


def test_a_choice_that_was_never_taken_and_one_that_is_not_offered_have_bars(hard):
    (survey,) = summaries(hard, wanted=["1"]).surveys
    (question,) = [each for each in survey.questions if each.type == "single-option"]

    assert [(each.answer, each.answers, each.is_offered) for each in question.choices] == [
        (SCRIPT, 12, True),
        (IMAGE, 0, True),
        ("Other", 0, True),
        ("in my own words", 1, False),
    ]
