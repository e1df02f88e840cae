"""Values as they are written into SQL."""

from datetime import UTC, date, datetime, timedelta, timezone

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hotjar_assets.warehouse.database import literal

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
ZONES = st.timedeltas(-timedelta(hours=14), timedelta(hours=14)).map(
    lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
)
# Hypothesis adds the zones.
FIRST, LAST = (datetime(year, 1, 2) for year in (1, 9999))  # noqa: DTZ001
INSTANTS = st.datetimes(FIRST, LAST, timezones=ZONES)


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as connection:
        yield connection


def read_back(connection, value, kind):
    sql = f"SELECT CAST({literal(value)} AS {kind})"
    ((found,),) = connection.execute(sql).fetchall()
    return found


@given(TEXTS)
@example("it's")
@example("''")
@example("\\'; DROP TABLE t; --")
@example("\n\r\t\\n")
@example("\0")
@example("a\0'\0b")
@example("{table} $now ? $1 %s")
def test_a_text_is_read_back_as_it_is(connection, text):
    assert read_back(connection, text, "VARCHAR") == text


@given(st.lists(TEXTS | st.none()))
@example([])
@example([None])
@example(["a', 'b", "\0", "[1]", "NULL"])
def test_a_list_of_texts_is_read_back_as_it_is(connection, texts):
    assert read_back(connection, texts, "VARCHAR[]") == texts
    assert read_back(connection, tuple(texts), "VARCHAR[]") == texts


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_number_is_read_back_as_it_is(connection, number):
    assert read_back(connection, number, "BIGINT") == number


@given(st.lists(st.booleans() | st.none()))
def test_booleans_and_nulls_are_read_back_as_they_are(connection, values):
    assert read_back(connection, values, "BOOLEAN[]") == values


@given(st.dates())
def test_a_day_is_read_back_as_it_is(connection, day):
    assert read_back(connection, day, "DATE") == day


@given(INSTANTS)
@example(datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC))
def test_an_instant_is_read_back_as_it_is(connection, instant):
    ((microseconds,),) = connection.execute(f"SELECT epoch_us({literal(instant)})").fetchall()
    assert timedelta(microseconds=microseconds) == instant - datetime(1970, 1, 1, tzinfo=UTC)
    ((found,),) = connection.execute(
        f"SELECT epoch_us(CAST({literal([None, instant])} AS TIMESTAMPTZ[])[2])"
    ).fetchall()
    assert found == microseconds


def test_values_have_the_types_of_their_kind(connection):
    values = ["a", 1, True, date(2026, 1, 31), datetime(2026, 1, 31, tzinfo=UTC), ["a", None]]
    sql = f"SELECT {', '.join(f'typeof({literal(value)})' for value in values)}"
    assert connection.execute(sql).fetchone() == (
        *("VARCHAR", "INTEGER", "BOOLEAN", "DATE", "TIMESTAMP WITH TIME ZONE", "VARCHAR[]"),
    )


def test_what_cannot_be_written_is_refused(connection):
    with pytest.raises(ValueError, match="without a zone"):
        literal(datetime(2026, 1, 31, tzinfo=UTC).replace(tzinfo=None))
    for other in (0.1, b"a", {"a": 1}, {"a"}):
        with pytest.raises(TypeError, match="no literal"):
            literal(other)
    # DuckDB 2 has an exception of its own for it.
    with pytest.raises((UnicodeEncodeError, duckdb.InvalidInputException)):
        connection.execute(f"SELECT {literal(chr(0xD800))}")
