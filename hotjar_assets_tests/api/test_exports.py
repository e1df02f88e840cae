"""The wide CSV: which column is what, and what makes a file no export."""

import csv
import io
import struct
import tracemalloc
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotjar_assets.api.exports import PAGE_ROWS, iter_export_pages
from hotjar_assets.api.limits import Limits
from hotjar_assets.api.records import Choice, Question, Response
from hotjar_assets.errors import HotjarSchemaError

STANDARD = [
    "Number",
    "User",
    "Date Submitted",
    "Country",
    "Source URL",
    "Device",
    "Browser",
    "OS",
    "Hotjar User ID",
]
SECRET = "MARKED-answer"

GOLDEN = (
    "\ufeffNumber,User,Date Submitted,Country,Source URL,Device,Browser,OS,Hotjar User ID,"
    'plan,Why?,"What should we improve?\n(No card numbers, please.)",Why?,'
    "E\u0301tes-vous satisfait(e) ?,  Spaces around  ,Tags,Tags\r\n"
    "2,ada,2026-01-31 09:05:00,Malta,https://x.example/a?b=1,Desktop,Chrome,Linux,5f0c,"
    'pro,"He said ""no"", then left,\nwithout a word.",,second,ça va,  kept  ,vip,late\r\n'
    "1,,2026-01-31T09:00:00.250Z,,,Fridge,,,,,,007,,=SUM(A1),,,\r\n"
).encode()
QUESTIONS = [
    Question(id="q1", text="Why?"),
    Question(id=2, text="What should we improve?\r\n(No card numbers, please.)"),
    Question(id="q3", text="Why?"),
    Question(id="q4", text="Êtes-vous satisfait(e) ?".replace("Ê", "\u00c9")),
    Question(id="q5", text="Spaces around"),
    Question(id="q6", text="Never exported"),
]


def wide(*rows: list[str], header: list[str] | None = None) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([header or STANDARD, *rows])
    return text.getvalue().encode()


def row(number: object = 1, submitted: str = "2026-01-31 09:00:00", *more: str) -> list[str]:
    return [str(number), "", submitted, "MT", "", "desktop", "Chrome", "Linux", "u1", *more]


def zipped(*members: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members:
            archive.writestr(name, body)
    return packed.getvalue()


def read(body: bytes, questions: list[Question] | None = None, **options: Any) -> list[Response]:
    pages = iter_export_pages(io.BytesIO(body), questions, **options)
    return [response for page in pages for response in page.results]


def answers(response: Response) -> list[tuple[Any, Any]]:
    return [(answer.question_id, answer.answer) for answer in response.answers or ()]


def refusal(body: bytes, questions: list[Question] | None = None, **options: Any) -> str:
    with pytest.raises(HotjarSchemaError) as caught:
        read(body, questions, **options)
    assert SECRET not in str(caught.value)
    return str(caught.value)


# --- What a row becomes ------------------------------------------------------------------------


def test_a_row_with_every_oddity_loses_nothing():
    newest, oldest = read(GOLDEN, QUESTIONS)

    assert newest == Response(
        id="2",
        created_time=datetime(2026, 1, 31, 9, 5, tzinfo=UTC),
        device="desktop",
        browser="Chrome",
        os="Linux",
        country="Malta",
        hotjar_user_id="5f0c",
        response_origin_url="https://x.example/a?b=1",
        user_attributes=newest.user_attributes,
        answers=newest.answers,
        extra={"User": "ada", "Tags": "vip", "Tags (2)": "late"},
    )
    assert [(item.name, item.value) for item in newest.user_attributes or ()] == [("plan", "pro")]
    assert answers(newest) == [
        ("q1", 'He said "no", then left,\nwithout a word.'),
        ("q3", "second"),
        ("q4", "ça va"),
        ("q5", "  kept  "),
    ]
    assert oldest.created_time == datetime(2026, 1, 31, 9, 0, 0, 250_000, tzinfo=UTC)
    assert answers(oldest) == [(2, "007"), ("q4", "=SUM(A1)")]
    assert (oldest.device, oldest.country, oldest.extra) == ("Fridge", None, None)
    assert oldest.user_attributes == []


def test_without_known_questions_every_further_column_is_one_by_its_text():
    newest, _ = read(GOLDEN)

    assert [question_id for question_id, _ in answers(newest)] == [
        "plan",
        "Why?",
        "Why? (2)",
        "E\u0301tes-vous satisfait(e) ?",
        "Spaces around",
        "Tags",
        "Tags (2)",
    ]
    assert newest.user_attributes == []
    assert newest.extra == {"User": "ada"}


def test_a_question_named_like_a_standard_column_is_the_later_one():
    header = [*STANDARD, "Country", "plan", "Country"]

    (response,) = read(
        wide(row(1, "2026-01-31", "one", "pro", "two"), header=header),
        [Question(id="q", text="Country")],
    )

    assert response.country == "MT"
    assert answers(response) == [("q", "two")]
    named = [(item.name, item.value) for item in response.user_attributes or ()]
    assert named == [("Country", "one"), ("plan", "pro")]


def test_a_cell_of_several_choices_is_an_answer_for_each():
    choices = [Choice(text="Price"), Choice(text="Speed, and more")]
    questions = [
        Question(id="q1", text="Why?", type="multiple-option", choices=choices),
        Question(id="q2", text="And?", type="long-text"),
    ]

    (response,) = read(
        wide(
            row(1, "2026-01-31", "Speed, and more, Price", "Price, Speed, and more"),
            header=[*STANDARD, "Why?", "And?"],
        ),
        questions,
    )

    assert answers(response) == [
        ("q1", "Speed, and more"),
        ("q1", "Price"),
        ("q2", "Price, Speed, and more"),
    ]


def test_a_question_that_nobody_answers_takes_no_column():
    questions = [
        Question(id="s", text="Same", type="statement"),
        Question(id="q", text="Same", type="long-text"),
    ]

    (response,) = read(wide(row(1, "2026-01-31", "yes"), header=[*STANDARD, "Same"]), questions)

    assert answers(response) == [("q", "yes")]


def test_columns_that_would_get_the_same_name_are_all_kept():
    names = ["a", "a", "a (2)", "a", "User", ""]
    cells = ["1", "2", "3", "4", "5", "6"]

    (response,) = read(wide(row(1, "2026-01-31", *cells), header=[*STANDARD, *names]), [])

    assert sorted((response.extra or {}).values()) == cells


def test_where_no_question_is_found_nothing_is_taken_for_an_attribute():
    header = [*STANDARD, "An older wording?", ""]

    (response,) = read(
        wide(row(1, "2026-01-31", "yes", "no"), header=header),
        [Question(id="q", text="A newer wording?")],
    )

    assert (response.answers, response.user_attributes) == ([], [])
    assert response.extra == {"An older wording?": "yes", "column 11": "no"}


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31 09:00:00",
        "2026-01-31T09:00:00",
        "2026-01-31T09:00:00Z",
        "2026-01-31 09:00",
        " 2026-01-31 09:00:00 UTC ",
        "2026-01-31T10:00:00+01:00",
        "2026-01-31 09:00:00.000",
    ],
)
def test_a_date_is_read_in_each_of_its_forms_and_without_a_zone_as_utc(text):
    (response,) = read(wide(row(1, text)))

    assert response.created_time == datetime(2026, 1, 31, 9, tzinfo=UTC)


def test_a_nul_becomes_what_a_text_column_can_hold():
    (response,) = read(
        wide(row(1, "2026-01-31", "a\x00b"), header=[*STANDARD, "q"]), [Question(id=1, text="q")]
    )

    assert answers(response) == [(1, "a\ufffdb")]


def test_an_answer_may_be_longer_than_the_csv_module_expects():
    text = "long " * 100_000

    (response,) = read(wide(row(1, "2026-01-31", text), header=[*STANDARD, "q"]))

    assert answers(response) == [("q", text)]


# --- Columns of newer exports ------------------------------------------------------------------

NEWER = [*STANDARD, "Response URL"]


def newer(*cells: str, link: str = "https://x/1") -> list[str]:
    return [*row(1, "2026-01-31"), link, *cells]


def tags(response: Response) -> list[list[Any] | None]:
    return [
        None if answer.tags is None else [tag.name for tag in answer.tags]
        for answer in response.answers or ()
    ]


def attributes_of(response: Response) -> list[tuple[Any, Any]]:
    return [(each.name, each.value) for each in response.user_attributes or ()]


@pytest.mark.parametrize(
    ("questions", "ids"),
    [(None, ["Why?", "And?"]), ([Question(id="q1", text="Why?")], ["q1", "And?"])],
    ids=["unknown", "one-known"],
)
def test_tags_are_those_of_the_answer_and_make_their_column_a_question(questions, ids):
    header = [*NEWER, "plan", "Why?", "And?", "Tags for: Why?", "tags for:  And?"]
    cells = ["pro", "price", "", "pricing, rooms ,pricing,", "late"]

    (response,) = read(wide(newer(*cells), header=header), questions)

    assert answers(response) == [(ids[0], "price"), (ids[1], None)]
    assert tags(response) == [["pricing", "rooms"], ["late"]]
    assert attributes_of(response) == [("plan", "pro")]
    assert response.extra == {"Response URL": "https://x/1"}


def test_tags_of_equal_texts_stand_in_the_order_of_their_questions():
    header = [*STANDARD, "Why?", "Why?", "Tags for: Why?", "Tags for: Why?"]
    questions = [Question(id="q1", text="Why?"), Question(id="q2", text="Why?")]

    (response,) = read(wide(row(1, "2026-01-31", "a", "b", "", "late"), header=header), questions)

    assert answers(response) == [("q1", "a"), ("q2", "b")]
    assert tags(response) == [None, ["late"]]


def test_the_tags_of_several_choices_are_those_of_the_first():
    question = Question(id=1, text="q", choices=[Choice(text="a"), Choice(text="b")])

    (response,) = read(
        wide(row(1, "2026-01-31", "a, b", "late"), header=[*STANDARD, "q", "Tags for: q"]),
        [question],
    )

    assert answers(response) == [(1, "a"), (1, "b")]
    assert tags(response) == [["late"], None]


def test_a_question_may_itself_be_called_like_a_column_of_tags():
    header = [*STANDARD, "q", "Tags for: q", "Tags for: Tags for: q"]
    questions = [Question(id=1, text="q"), Question(id=2, text="Tags for: q")]

    (response,) = read(wide(row(1, "2026-01-31", "a", "b", "late"), header=header), questions)

    assert answers(response) == [(1, "a"), (2, "b")]
    assert tags(response) == [None, ["late"]]


def test_tags_of_no_question_are_kept_by_their_header():
    header = [*STANDARD, "q", "Tags for: another"]

    (response,) = read(
        wide(row(1, "2026-01-31", "a", "late"), header=header), [Question(id=1, text="q")]
    )

    assert (tags(response), response.extra) == ([None], {"Tags for: another": "late"})


@pytest.mark.parametrize(
    "questions", [None, [Question(id=1, text="Why?")]], ids=["unknown", "known"]
)
@pytest.mark.parametrize("place", ["before", "after"])
def test_tags_of_a_removed_question_are_never_a_question_or_an_attribute(questions, place):
    gone, cells = "Tags for: Removed question?", ["price", "late"]
    columns = [gone, "Why?"] if place == "before" else ["Why?", gone]

    (response,) = read(
        wide(
            newer("pro", *(cells if place == "after" else cells[::-1]), "rooms"),
            header=[*NEWER, "plan", *columns, "Tags for: Why?"],
        ),
        questions,
    )

    assert answers(response) == [(questions[0].id if questions else "Why?", "price")]
    assert tags(response) == [["rooms"]]
    assert attributes_of(response) == [("plan", "pro")]
    assert response.extra == {"Response URL": "https://x/1", gone: "late"}


@pytest.mark.parametrize(
    ("texts", "plan"),
    [
        (["What is missing?", "How likely?"], [("plan", "pro")]),
        (["What is missing?"], [("plan", "pro")]),
        (["What is missing?", "Why not?", "How likely?"], []),
    ],
    ids=["one-edited", "no-other", "another-edited"],
)
def test_an_attribute_stays_one_beside_an_edited_question_with_tags(texts, plan):
    questions = [Question(id=number, text=text) for number, text in enumerate(texts)]
    edited, tagged = "What was missing?", "Tags for: What was missing?"
    last = "How likely?" if "How likely?" in texts else "Tags for: Else?"

    (response,) = read(
        wide(newer("pro", "rooms", "late", "9"), header=[*NEWER, "plan", edited, tagged, last]),
        questions,
    )

    assert attributes_of(response) == plan
    assert answers(response)[0] == (edited, "rooms")
    assert tags(response)[0] == ["late"]
    assert ("plan" in (response.extra or {})) is not bool(plan)


@pytest.mark.parametrize(
    "old",
    ["Do you like it so far?", "Dites-nous tout,\ns'il vous plaît", "a long text " * 5],
    ids=["question-mark", "lines", "long"],
)
def test_what_looks_like_a_removed_question_is_no_attribute(old):
    header = [*STANDARD, "plan", "new?", old, "q"]

    (response,) = read(
        wide(row(1, "2026-01-31", "pro", "yes", SECRET, "a"), header=header),
        [Question(id=1, text="q")],
    )

    assert attributes_of(response) == [("plan", "pro"), ("new?", "yes")]
    assert response.extra == {old.strip(): SECRET}


def test_what_stands_in_the_place_of_an_edited_question_is_no_attribute():
    header = [*STANDARD, "plan", "Your opinion", "q"]
    questions = [
        Question(id=0, text="Hello", type="statement"),
        Question(id=1, text="Your honest opinion"),
        Question(id=2, text="q"),
    ]

    (response,) = read(wide(row(1, "2026-01-31", "pro", SECRET, "a"), header=header), questions)

    assert attributes_of(response) == [("plan", "pro")]
    assert response.extra == {"Your opinion": SECRET}


@pytest.mark.parametrize(
    ("device", "stored"), [("phone", "mobile"), ("Phone", "mobile"), ("Tablet", "tablet")]
)
def test_a_device_has_the_name_that_the_api_gives_it(device, stored):
    (response,) = read(wide(row()).replace(b"desktop", device.encode()))

    assert response.device == stored


def test_visitors_who_were_not_identified_have_no_id():
    unknown = b"00000000-0000-0000-0000-000000000000"

    (response,) = read(wide(row()).replace(b"u1", unknown))

    assert response.hotjar_user_id is None


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
@pytest.mark.parametrize(
    ("line", "separator"),
    [(b"sep=,\r\n", b","), (b"sep=;\n", b";"), (b'"sep=\t"\n', b"\t"), (b"SEP=|\n", b"|")],
)
@pytest.mark.parametrize("is_zip", [False, True], ids=["csv", "zip"])
def test_a_line_for_excel_is_obeyed(mark, line, separator, is_zip):
    body = mark + line + days(2, 1).replace(b",", separator)

    assert [each.id for each in read(zipped(("a.csv", body)) if is_zip else body)] == ["2", "1"]


def test_a_line_for_excel_counts_as_a_line():
    assert "line 4, column Date Submitted" in refusal(b"sep=,\n" + wide(row(2), row(1, "never")))


def test_rows_of_empty_cells_are_no_responses():
    body = wide(["", " ", ""], row(2), [""] * 9, row(1), [""] * 12)

    assert [response.id for response in read(body)] == ["2", "1"]


@pytest.mark.parametrize("end", ["header", "rows", "both"])
def test_a_comma_at_the_end_of_lines_is_no_cell(end):
    header, *lines = wide(row(1, "2026-01-31", "a"), header=[*STANDARD, "q"]).splitlines()
    header += b"," if end != "rows" else b""
    lines = [line + b"," if end != "header" else line for line in lines]

    (response,) = read(b"\n".join([header, *lines]))

    assert (answers(response), response.extra) == ([("q", "a")], None)


# --- Pages -------------------------------------------------------------------------------------


def days(*numbers: int) -> bytes:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return wide(*(row(n, str(start + timedelta(days=n))) for n in numbers))


def test_pages_are_bounded_and_only_the_last_has_no_cursor():
    count = 2 * PAGE_ROWS + 1

    pages = list(iter_export_pages(io.BytesIO(days(*range(count, 0, -1))), None))

    assert [len(page.results) for page in pages] == [PAGE_ROWS, PAGE_ROWS, 1]
    assert [page.next_cursor for page in pages] == [str(PAGE_ROWS), str(2 * PAGE_ROWS), None]
    assert not any(page.is_unsorted for page in pages)


def test_an_export_without_responses_is_one_empty_page():
    (page,) = iter_export_pages(io.BytesIO(wide()), None)

    assert (page.results, page.next_cursor, page.is_unsorted) == ([], None, False)


def test_the_first_page_says_that_a_newer_row_stands_further_down():
    numbers = [*range(1000, 0, -1), 2000]

    first = next(iter_export_pages(io.BytesIO(days(*numbers)), None))

    assert first.is_unsorted


@pytest.mark.parametrize("numbers", [(3, 2, 1, 2), (1, 2, 3, 2), (2, 2), (10, 9, 11, 9)])
def test_two_rows_of_one_number_that_differ_are_refused_before_one_hides_the_other(numbers):
    rows = [row(number, f"2026-01-{31 - place}") for place, number in enumerate(numbers)]

    line = len(numbers) + 1
    assert f"line {line}, column Number: is that of an earlier row" in refusal(wide(*rows))
    assert "file 2 of the ZIP, line 2" in refusal(
        zipped(("a.csv", wide(*rows[:-1])), ("b.csv", wide(rows[-1])))
    )


def test_a_row_that_stands_twice_is_one_response():
    rows = read(wide(row(2), row(1), row(2)))

    assert [response.id for response in rows] == ["2", "1", "2"]


def test_a_damaged_end_is_found_before_the_first_page():
    pages = iter_export_pages(io.BytesIO(days(*range(2000, 0, -1)) + b"1,2\r\n"), None)

    with pytest.raises(HotjarSchemaError, match="line 2002: 2 cells, and the header has 9"):
        next(pages)


def test_the_memory_it_takes_does_not_grow_with_the_file():
    def peak_bytes(rows: int) -> int:
        file = io.BytesIO(zipped(("a.csv", days(*range(rows, 0, -1)))))
        tracemalloc.start()
        try:
            for _ in iter_export_pages(file, None):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak_bytes(20_000) < 1.5 * peak_bytes(4_000)


# --- ZIP or CSV --------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize("is_zip", [False, True], ids=["csv", "zip"])
def test_the_same_rows_come_of_every_packing(mark, end, is_zip):
    body = mark + days(2, 1).replace(b"\r\n", end)

    read_rows = read(zipped(("responses.csv", body)) if is_zip else body)

    assert [response.id for response in read_rows] == ["2", "1"]


def test_all_files_of_a_zip_are_read_each_by_its_own_header():
    one = wide([*row(2, "2026-01-02"), "no"], header=[*STANDARD, "q"])
    other = wide(["yes", *row(1, "2026-01-01"), "x"], header=["q", *STANDARD, "Response URL"])
    body = zipped(
        ("__MACOSX/._a.csv", b"\x00\x05"), ("folder/", b""), ("a.CSV", one), ("b.csv", other)
    )

    first, second = read(body)

    assert (first.id, answers(first)) == ("2", [("q", "no")])
    assert (second.id, answers(second)) == ("1", [("q", "yes")])


@pytest.mark.parametrize("questions", [None, [Question(id=1, text="q")]], ids=["none", "known"])
def test_files_of_a_zip_with_other_questions_are_not_one_survey(questions):
    first = wide(row(1, "2026-01-01", SECRET), header=[*STANDARD, "q"])
    second = wide(row(1, "2026-01-01", "b"), header=[*STANDARD, "Other question"])

    message = refusal(zipped(("folder/a.csv", first), ("b.csv", second)), questions)

    assert "ZIP: a.csv and b.csv have different questions" in message
    assert "import each with its own --survey" in message


def encrypted() -> bytes:
    """Return a ZIP whose members say that they are encrypted."""
    body = bytearray(zipped(("a.csv", days(1))))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = body.index(signature) + offset
        struct.pack_into("<H", body, place, 1)
    return bytes(body)


def altered() -> bytes:
    """Return a ZIP in which one cell is another than when it was packed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", days(2, 1))
    return packed.getvalue().replace(b"Chrome", b"Chr0me", 1)


WHOLE = zipped(("a.csv", days(*range(300, 0, -1))))
NOT_ZIPS = {
    "nothing-in-it": (zipped(), "ZIP: holds no CSV"),
    "only-litter": (zipped(("__MACOSX/a.csv", days(1))), "ZIP: holds no CSV"),
    "another-file": (
        zipped(("a.csv", days(1)), ("b.pdf", b"%PDF")),
        "file 2 of the ZIP: is not a CSV file",
    ),
    "encrypted": (encrypted(), "file 1 of the ZIP: is encrypted"),
    "workbook": (
        zipped(("[Content_Types].xml", b"<Types/>"), ("xl/workbook.xml", b"<workbook/>")),
        "export: is an Excel workbook; export the responses from Hotjar as CSV",
    ),
    "workbook-in-it": (
        zipped(("a.csv", days(1)), ("b.xlsx", b"PK")),
        "file 2 of the ZIP: is an Excel workbook",
    ),
    "cut": (WHOLE[: len(WHOLE) // 2], "ZIP: is damaged"),
    "altered": (altered(), "ZIP: is damaged"),
    "no-export": (
        zipped(("a.csv", b"a,b\n1,2\n")),
        "file 1 of the ZIP, line 1: there is no column",
    ),
}


@pytest.mark.parametrize(("body", "message"), NOT_ZIPS.values(), ids=NOT_ZIPS)
def test_a_zip_that_is_no_export_is_refused_with_what_is_wrong(body, message):
    assert message in refusal(body)


def test_a_zip_that_unpacks_to_more_than_allowed_is_refused_before_it_is_unpacked():
    rows = [row(n, "2026-01-31", "x" * 50_000) for n in range(20)]
    bomb = zipped(*((f"{n}.csv", wide(*rows, header=[*STANDARD, "Why?"])) for n in range(5)))
    assert len(bomb) < 50_000

    message = refusal(bomb, limits=Limits(export_mb=2))
    assert "is larger than this program unpacks" in message
    assert "HOTJAR_MAX_EXPORT_MB is 2" in message


def test_a_line_without_an_end_is_refused():
    assert "line 2: is too long" in refusal(wide() + b"x" * 9_000_000)


# --- What is no export -------------------------------------------------------------------------

QUOTED = wide(row(1, "2026-01-31", SECRET), header=[*STANDARD, "q"])
NOT_EXPORTS = {
    "empty": (b"", "line 1: there is no column Number"),
    "old-workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1" + SECRET.encode(), "export: is an Excel workbook"),
    "html": (f"<html>{SECRET}</html>".encode(), "line 1: there is no column Number"),
    "semicolons": (wide(row()).replace(b",", b";"), "line 1: there is no column Number"),
    "no-date": (b"Number,Country\n1,MT\n", "line 1: there is no column Date Submitted"),
    "utf-16": (wide(row()).decode().encode("utf-16"), "line 1 on: is no UTF-8 text"),
    "latin-1": (
        wide(row(1, "2026-01-31", "é"), header=[*STANDARD, "q"]).decode().encode("latin-1"),
        "is no UTF-8 text",
    ),
    "blank-number": (wide(row(2), row("  ")), "line 3, column Number: is empty"),
    "blank-date": (wide(row(1, "")), "line 2, column Date Submitted: is no date"),
    "bad-date": (wide(row(1, SECRET)), "line 2, column Date Submitted: is no date"),
    "ambiguous-date": (
        wide(row(1, "01/02/2026 09:00")),
        "line 2, column Date Submitted: is no date",
    ),
    "fewer-cells": (QUOTED.replace(b",u1,", b","), "line 2: 9 cells, and the header has 10"),
    "open-quote": (
        QUOTED.replace(SECRET.encode(), b'"' + SECRET.encode()),
        "not a well-formed CSV",
    ),
    "stray-quote": (QUOTED.replace(SECRET.encode(), b'"a"b'), "line 2: is not a well-formed CSV"),
}


@pytest.mark.parametrize(("body", "message"), NOT_EXPORTS.values(), ids=NOT_EXPORTS)
def test_a_file_that_is_no_export_is_refused_with_line_and_column(body, message):
    assert message in refusal(body)


def test_a_line_is_counted_as_an_editor_counts_it():
    body = wide(row(2, "2026-01-31", "a\nb\nc"), row(1, "never", ""), header=[*STANDARD, "q"])

    assert "line 5, column Date Submitted" in refusal(body)


# --- Any export --------------------------------------------------------------------------------

TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00\ufeff"), min_size=1, max_size=12
)
CELL = st.one_of(st.just(""), TEXT)


@given(
    questions=st.lists(TEXT.filter(str.strip), max_size=5),
    attributes=st.lists(TEXT.filter(str.strip), max_size=3),
    data=st.data(),
)
def test_answers_are_those_of_the_survey_whatever_its_questions_are_called(
    questions, attributes, data
):
    # A name that is taken is no attribute's: nobody could tell them apart by their text.
    taken = {" ".join(name.split()).lower() for name in [*STANDARD, *questions]}
    attributes = [name for name in attributes if " ".join(name.split()).lower() not in taken]
    width = len(attributes) + len(questions)
    cells = data.draw(st.lists(st.lists(CELL, min_size=width, max_size=width), max_size=4))
    rows = [row(n, "2026-01-31", *each) for n, each in enumerate(cells, start=1)]
    asked = [Question(id=f"q{n}", text=text) for n, text in enumerate(questions)]

    responses = read(wide(*rows, header=[*STANDARD, *attributes, *questions]), asked)

    for response, each in zip(responses, cells, strict=True):
        given_answers = each[len(attributes) :]
        assert answers(response) == [
            (f"q{n}", text) for n, text in enumerate(given_answers) if text
        ]
        given_attributes = {
            (name, value) for name, value in zip(attributes, each, strict=False) if value
        }
        stored = {(item.name, item.value) for item in response.user_attributes or ()}
        if questions:
            assert stored == given_attributes
        else:
            assert len(response.extra or {}) == len([value for value in each if value])
