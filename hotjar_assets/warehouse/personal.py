"""What happens to one person's rows: rewritten under another privacy mode, found, erased."""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from inspect import signature
from typing import Any

import duckdb

from hotjar_assets.config import PiiMode
from hotjar_assets.person import NOBODY, Person, PersonSearch
from hotjar_assets.privacy import Privacy
from hotjar_assets.schema import (
    FORGOTTEN,
    META,
    SCHEMA,
    SURVEY_RESPONSES,
    SURVEYS,
    UNSETTLED,
)
from hotjar_assets.streams.checks import split_personal
from hotjar_assets.streams.formats import plain_steps
from hotjar_assets.streams.making import Making
from hotjar_assets.streams.personal import leaves
from hotjar_assets.warehouse.compaction import note_compaction
from hotjar_assets.warehouse.database import (
    columns_in,
    literal,
    qualified,
    quote,
)
from hotjar_assets.warehouse.models import model_names

Row = tuple[str, str, str | None]
"""(survey_id, response_id, hotjar_user_id)."""
_ROWS_AT_ONCE = 1000
_IDS = (FORGOTTEN.name, META.name, UNSETTLED.name)
"""Tables of ours that hold nothing of a person."""


@dataclass(frozen=True)
class Trace:
    """What a table holds of a person.

    Attributes:
        schema: Its schema.
        table: Its name.
        rows: How many of its rows.
        columns: Where in them, sorted.
        is_declared: Whether they are the rows of a stream that are in what its `personal` names.
        is_of_other_key: Whether the table was hashed under another key, so that nothing of a
            person can be found in it.
    """

    schema: str
    table: str
    rows: int = 0
    columns: tuple[str, ...] = ()
    is_declared: bool = False
    is_of_other_key: bool = False


def find_rows(connection: duckdb.DuckDBPyConnection, person: Person, privacy: Privacy) -> list[Row]:
    """List the rows of a person, sorted; see `PersonSearch` for what is recognized.

    An address is looked for in every column; all rows of the users who gave it are theirs too. An
    id is looked for in every column as well, and the rows of others that mention it are erased, but
    not all that those others wrote.
    """
    table = qualified(connection, SURVEY_RESPONSES.name)
    search = PersonSearch(person, privacy)
    # Part of another id is another person: ids are compared whole where they are the visitor's.
    left_out = {"hotjar_user_id"} if person.user_id else set()
    found = {
        row[:3]
        for row, _ in _matches(
            connection, table, search, ("survey_id", "response_id", "hotjar_user_id"), left_out
        )
    }
    if person.user_id:
        users = {*search.user_ids}
    else:
        # An empty id is nobody's: it would join everybody who has none.
        users = {user for _, _, user in found if user} - {*NOBODY, *map(privacy.hash, NOBODY)}
    found |= {
        (survey_id, response_id, user)
        for survey_id, response_id, user in connection.execute(
            f"SELECT survey_id, response_id, hotjar_user_id FROM {table} "
            f"WHERE hotjar_user_id IN (SELECT unnest({literal(sorted(users))}::VARCHAR[]))"
        ).fetchall()
    }
    return sorted(found, key=lambda row: row[:2])


def find_traces(
    connection: duckdb.DuckDBPyConnection, search: PersonSearch, rows: Collection[Row] = ()
) -> list[Trace]:
    """Look for a person in every other table of the file, sorted by name.

    A row is theirs where any of its values holds the person, or where it is about one of the
    responses (`survey_id`, `response_id`) that were erased or are to be.

    Args:
        connection: The file.
        search: What recognizes the person.
        rows: Responses that are to be erased.
    """
    connection.execute(
        "CREATE TEMP TABLE erased AS SELECT survey_id, response_id "
        f"FROM {qualified(connection, FORGOTTEN.name)} UNION FROM {_ids_of(rows)}"
    )
    traces: list[Trace] = []
    declared = {(each.schema, each.table): each for each in _declared_tables(connection)}
    for schema, name in _tables(connection):
        if schema == SCHEMA and name in {SURVEY_RESPONSES.name, *_IDS}:
            continue
        found: dict[int, set[str]] = {}
        if stream := declared.get((schema, name)):
            found = stream.rows_of(connection, search)
            traces += stream.traces(found, search)
        table = qualified(connection, name, schema)
        is_erased = "false"
        if {"survey_id", "response_id"} <= columns_in(connection, table).keys():
            is_erased = (
                "EXISTS (FROM temp.erased e WHERE e.survey_id = CAST(t.survey_id AS VARCHAR) "
                "AND e.response_id = CAST(t.response_id AS VARCHAR))"
            )
        places: set[str] = set()
        count = 0
        wanted = ("rowid",) if found else ()
        for row, columns in _matches(connection, table, search, wanted, is_erased=is_erased):
            if found and row[0] in found:
                continue
            count += 1
            places |= columns
        if count:
            traces.append(Trace(schema, name, count, tuple(sorted(places))))
    connection.execute("DROP TABLE temp.erased")
    return traces


def erase_declared(connection: duckdb.DuckDBPyConnection, search: PersonSearch) -> list[Trace]:
    """Delete the rows of streams in which what `personal` names holds a person; list them."""
    traces = []
    for stream in _declared_tables(connection):
        found = stream.rows_of(connection, search)
        if found:
            table = qualified(connection, stream.table, stream.schema)
            connection.execute(
                f"DELETE FROM {table} WHERE rowid IN "
                f"(SELECT unnest({literal(sorted(found))}::BIGINT[]))"
            )
            note_compaction(connection, is_due=True)
            traces += [each for each in stream.traces(found, search) if each.is_declared]
    return traces


@dataclass(frozen=True)
class _DeclaredTable:
    """The table of a stream that has `personal`.

    Attributes:
        schema: Its schema.
        table: Its name.
        making: How it was made, `personal` included.
    """

    schema: str
    table: str
    making: Making

    def rows_of(
        self, connection: duckdb.DuckDBPyConnection, search: PersonSearch
    ) -> dict[int, set[str]]:
        """Map the row ids of a person's rows to the columns where they are.

        None can be told in a table with a column named rowid, which hides the row ids.
        """
        table = qualified(connection, self.table, self.schema)
        there = columns_in(connection, table)
        if "rowid" in map(str.lower, there):
            return {}
        columns = {split_personal(name)[0] for name in self.making.personal}
        # An id is the same whatever its type, and however short it is.
        ids = {
            name: split_personal(name)
            for name, kind in self.making.personal.items()
            if kind == "id" and split_personal(name)[0] in there
        }
        theirs = []
        for column, path in ids.values():
            if path == "$" and not _is_json(there[column]):
                theirs.append(
                    f"CAST(t.{quote(column)} AS VARCHAR) IN "
                    f"(SELECT unnest({literal(search.user_ids)}::VARCHAR[]))"
                )
            elif rows := _rows_with_id(connection, table, column, path, search):
                theirs.append(f"t.rowid IN (SELECT unnest({literal(rows)}::BIGINT[]))")
        matches = _matches(
            connection,
            table,
            search,
            ("rowid",),
            there.keys() - columns,
            is_erased=" OR ".join(theirs) or "false",
            erased_by=tuple(column for column, _ in ids.values()),
        )
        return {row[0]: found for row, found in matches}

    def traces(self, found: Mapping[int, set[str]], search: PersonSearch) -> Iterator[Trace]:
        """Yield what the table holds of a person."""
        if found:
            columns = tuple(sorted(set[str]().union(*found.values())))
            yield Trace(self.schema, self.table, len(found), columns, is_declared=True)
        if self.making.pii_key not in {"", search.key_fingerprint}:
            yield Trace(self.schema, self.table, is_of_other_key=True)


def _rows_with_id(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    column: str,
    path: str,
    search: PersonSearch,
) -> list[int]:
    """List the row ids where what a path selects in a column is an id of the person."""
    ids, steps = {*search.user_ids}, plain_steps(path) or ()
    result = connection.execute(
        f"SELECT rowid, CAST(to_json({quote(column)}) AS VARCHAR) FROM {table} "
        f"WHERE {quote(column)} IS NOT NULL"
    )
    found: list[int] = []
    while ids and (rows := result.fetchmany(_ROWS_AT_ONCE)):
        found += [
            row
            for row, text in rows
            if not ids.isdisjoint(map(str, leaves(json.loads(text), steps)))
        ]
    return found


def _declared_tables(connection: duckdb.DuckDBPyConnection) -> list[_DeclaredTable]:
    rows = connection.execute(
        "SELECT schema_name, table_name, comment FROM duckdb_tables() "
        "WHERE database_name = current_database() AND comment IS NOT NULL ORDER BY ALL"
    ).fetchall()
    made = ((schema, name, Making.parse(comment)) for schema, name, comment in rows)
    return [_DeclaredTable(schema, name, each) for schema, name, each in made if each]


def _matches(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    search: PersonSearch,
    wanted: Sequence[str],
    left_out: Collection[str] = (),
    *,
    is_erased: str = "false",
    erased_by: Sequence[str] = ("response_id",),
) -> Iterator[tuple[tuple[Any, ...], set[str]]]:
    """Yield the rows of a table in which a person is, and the columns where.

    DuckDB leaves out what cannot hold them, and the rest is looked at here, some rows at a time.

    Args:
        connection: The file; must not be used before the last row was taken.
        table: Qualified name.
        search: What recognizes the person.
        wanted: Columns of the row to yield.
        left_out: Columns that are not searched.
        is_erased: SQL that is true of a row `t` which is theirs whatever it holds.
        erased_by: The columns by which it is.
    """
    kinds = {
        name: kind
        for name, kind in columns_in(connection, table).items()
        if name not in left_out and not _WITHOUT_TEXT.fullmatch(kind)
    }
    texts = [f"CAST(t.{quote(name)} AS VARCHAR)" for name in kinds]
    # concat_ws leaves out nulls.
    holds = (
        f"regexp_matches(concat_ws(chr(10), {', '.join(texts)}), {literal(search.pattern)})"
        if texts
        else "false"
    )
    values = [
        f"CAST(to_json(t.{quote(name)}) AS VARCHAR)" if _is_nested(kind) else text
        for (name, kind), text in zip(kinds.items(), texts, strict=True)
    ]
    selected = ", ".join([*(f"t.{quote(name)}" for name in wanted), is_erased, *values])
    result = connection.execute(f"SELECT {selected} FROM {table} t WHERE {holds} OR {is_erased}")
    checks = [
        (name, search.is_in_json if _is_json(kind) else search.is_in)
        for name, kind in kinds.items()
    ]
    while rows := result.fetchmany(_ROWS_AT_ONCE):
        for row in rows:
            given, (erased, *cells) = row[: len(wanted)], row[len(wanted) :]
            places: set[str] = set()
            if search.may_be_in("\n".join(filter(None, cells))):
                cells_of = zip(checks, cells, strict=True)
                places = {name for (name, is_in), cell in cells_of if cell and is_in(cell)}
            if erased:
                places.update(erased_by)
            if places:
                yield given, places


_WITHOUT_TEXT = re.compile(
    "BOOLEAN|DATE|TIME.*|TIMESTAMP.*|INTERVAL|FLOAT|DOUBLE|U?(TINY|SMALL)INT"
)


def _is_nested(kind: str) -> bool:
    return kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION", "VARIANT"))


def _is_json(kind: str) -> bool:
    return kind == "JSON" or _is_nested(kind)


def erase_rows(connection: duckdb.DuckDBPyConnection, rows: Collection[Row]) -> None:
    """Delete rows and keep their ids, so that no later sync brings them back."""
    responses, forgotten = (
        qualified(connection, table.name) for table in (SURVEY_RESPONSES, FORGOTTEN)
    )
    given = _ids_of(rows)
    connection.execute(
        f"INSERT INTO {forgotten} BY NAME "
        f"SELECT *, {literal(datetime.now(UTC))} AS forgotten_at FROM {given}"
    )
    connection.execute(
        f"DELETE FROM {responses} t USING {given} i "
        "WHERE t.survey_id = i.survey_id AND t.response_id = i.response_id"
    )
    note_compaction(connection, is_due=True)


def _ids_of(rows: Collection[Row]) -> str:
    """Return SQL for a relation of the ids of some rows."""
    surveys = literal([survey_id for survey_id, _, _ in rows])
    responses = literal([response_id for _, response_id, _ in rows])
    return (
        f"(SELECT unnest({surveys}::VARCHAR[]) AS survey_id, "
        f"unnest({responses}::VARCHAR[]) AS response_id)"
    )


def has_rows(connection: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether any response is stored."""
    table = qualified(connection, SURVEY_RESPONSES.name)
    return connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None


def rewrite_personal(connection: duckdb.DuckDBPyConnection, privacy: Privacy) -> None:
    """Replace the personal values of the stored rows, those that Hotjar no longer has included."""
    if privacy.mode is PiiMode.KEEP:
        return

    def attributes(text: str | None) -> str | None:
        items = json.loads(text or "null")
        return items and json.dumps(
            [{**item, "value": privacy.value(item["value"])} for item in items]
        )

    def answers(text: str | None, email_questions: str | None) -> str | None:
        items, asked = json.loads(text or "null"), json.loads(email_questions or "[]")
        return items and json.dumps(
            [
                {
                    **item,
                    "answer": privacy.answer(item["answer"], item["question_id"], asked),
                    "comment": privacy.answer(item["comment"], None, ()),
                }
                for item in items
            ]
        )

    def extra(text: str | None) -> str | None:
        return text and json.dumps(privacy.unknown(json.loads(text)))

    def comment(text: str | None) -> str | None:
        answer: str | None = privacy.answer(text, None, ())
        return answer

    functions: dict[str, Callable[..., str | None]] = {
        "personal_value": privacy.value,
        "personal_comment": comment,
        "personal_url": privacy.url,
        "personal_attributes": attributes,
        "personal_answers": answers,
        "personal_extra": extra,
    }
    for name, function in functions.items():
        text = duckdb.sqltype("VARCHAR")
        parameters = [text] * len(signature(function).parameters)
        # Nulls are passed in and may come out.
        connection.create_function(name, function, parameters, text, null_handling="special")  # type: ignore[call-overload]
    types = {column.name: column.type for column in SURVEY_RESPONSES.columns}
    ((count,),) = connection.execute(
        f"""UPDATE {qualified(connection, SURVEY_RESPONSES.name)} t SET
              hotjar_user_id = personal_value(hotjar_user_id),
              recording_url = personal_value(recording_url),
              response_origin_url = personal_url(response_origin_url),
              user_attributes = CAST(CAST(personal_attributes(CAST(to_json(user_attributes)
                AS VARCHAR)) AS JSON) AS {types["user_attributes"]}),
              answers = CAST(CAST(personal_answers(CAST(to_json(answers) AS VARCHAR), (
                SELECT CAST(to_json(list_transform(list_filter(s.questions,
                  lambda q: q.type = 'email'), lambda q: q.question_id)) AS VARCHAR)
                FROM {qualified(connection, SURVEYS.name)} s WHERE s.survey_id = t.survey_id
                )) AS JSON) AS {types["answers"]}),
              extra = CAST(personal_extra(CAST(extra AS VARCHAR)) AS JSON),
              synced_at = {literal(datetime.now(UTC))}"""
    ).fetchall()
    _rewrite_models(connection)
    if count:
        note_compaction(connection, is_due=True)


_OF_MODELS = {
    "hotjar_user_id": "personal_value",
    "recording_url": "personal_value",
    "response_origin_url": "personal_url",
    "page": "personal_url",
    "comment": "personal_comment",
}
"""Columns of the models that hold a personal value as it is in the table, and what replaces it."""


def _rewrite_models(connection: duckdb.DuckDBPyConnection) -> None:
    """Replace the personal values in the models: it may be long until dbt makes them again."""
    for schema, name in _tables(connection):
        if name not in model_names():
            continue
        table = qualified(connection, name, schema)
        columns = _OF_MODELS.keys() & columns_in(connection, table).keys()
        changes = [f"{quote(each)} = {_OF_MODELS[each]}({quote(each)})" for each in sorted(columns)]
        if changes:
            connection.execute(f"UPDATE {table} SET {', '.join(changes)}")


def _tables(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """List the schema and name of every table of the file, sorted."""
    return connection.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() "
        "WHERE database_name = current_database() AND NOT internal ORDER BY ALL"
    ).fetchall()
