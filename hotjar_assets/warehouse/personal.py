"""What happens to one person's rows: rewritten under another privacy mode, found, erased."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from inspect import signature

import duckdb

from hotjar_assets.config import PiiMode
from hotjar_assets.privacy import Privacy
from hotjar_assets.schema import FORGOTTEN, SURVEY_RESPONSES, SURVEYS
from hotjar_assets.warehouse.database import qualified


@dataclass(frozen=True)
class Person:
    """Whose rows are looked for: one of the two is given.

    Attributes:
        user_id: The `hotjar_user_id`.
        email: An e-mail address, in any case.
    """

    user_id: str | None = None
    email: str | None = None


def find_rows(
    connection: duckdb.DuckDBPyConnection, person: Person, privacy: Privacy
) -> list[tuple[str, str, str | None]]:
    """List (survey_id, response_id, hotjar_user_id) of a person's rows, sorted.

    An address is looked for in answers, comments, attributes, URLs and `extra`, in clear text and
    hashed; the rows of the users who gave it are theirs too.
    """
    table = qualified(connection, SURVEY_RESPONSES.name)
    texts = [text for text in (person.user_id, person.email) if text]
    forms = [form for text in texts for form in (text.strip(), privacy.hash(text))]
    pattern = "|".join(_word(form) for form in forms)
    if person.user_id:
        condition = "hotjar_user_id IN (SELECT unnest($forms::VARCHAR[]))"
        values: dict[str, object] = {"forms": forms}
    else:
        columns = ("answers", "user_attributes", "extra", "response_origin_url")
        matches = [f"regexp_matches(CAST({column} AS VARCHAR), $pattern)" for column in columns]
        condition = " OR ".join(matches)
        values = {"pattern": f"(?i){pattern}"}
    return connection.execute(
        f"""WITH direct AS (SELECT * FROM {table} WHERE {condition})
            SELECT survey_id, response_id, hotjar_user_id FROM direct UNION
            SELECT survey_id, response_id, hotjar_user_id FROM {table}
            WHERE hotjar_user_id IN (SELECT hotjar_user_id FROM direct)
              AND hotjar_user_id NOT IN (SELECT unnest($nobody::VARCHAR[])) ORDER BY ALL""",
        # An empty id is nobody's: it would join everybody who has none.
        {**values, "nobody": ["", privacy.hash("")]},
    ).fetchall()


def erase_rows(
    connection: duckdb.DuckDBPyConnection, rows: list[tuple[str, str, str | None]]
) -> None:
    """Delete rows and keep their ids, so that no later sync brings them back."""
    responses, forgotten = (
        qualified(connection, table.name) for table in (SURVEY_RESPONSES, FORGOTTEN)
    )
    ids = {
        "surveys": [survey_id for survey_id, _, _ in rows],
        "responses": [response_id for _, response_id, _ in rows],
    }
    given = (
        "(SELECT unnest($surveys::VARCHAR[]) AS survey_id, "
        "unnest($responses::VARCHAR[]) AS response_id)"
    )
    connection.execute(
        f"INSERT INTO {forgotten} BY NAME SELECT *, $now AS forgotten_at FROM {given}",
        {**ids, "now": datetime.now(UTC)},
    )
    connection.execute(
        f"DELETE FROM {responses} t USING {given} i "
        "WHERE t.survey_id = i.survey_id AND t.response_id = i.response_id",
        ids,
    )


def _word(text: str) -> str:
    """Match a text that is no part of a longer address: bob@x.com is not in jimbob@x.com.au."""
    # In a URL the @ is often written %40.
    escaped = re.escape(text).replace("@", "(?:@|%40)")
    return rf"(?:^|[^\w.+%-]|%3D|=){escaped}(?:$|[^\w.-]|[.](?:$|\W))"


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
                {**item, "answer": privacy.answer(item["answer"], item["question_id"], asked)}
                for item in items
            ]
        )

    def extra(text: str | None) -> str | None:
        return text and json.dumps(privacy.unknown(json.loads(text)))

    functions: dict[str, Callable[..., str | None]] = {
        "personal_value": privacy.value,
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
    connection.execute(
        f"""UPDATE {qualified(connection, SURVEY_RESPONSES.name)} t SET
              hotjar_user_id = personal_value(hotjar_user_id),
              response_origin_url = personal_url(response_origin_url),
              user_attributes = CAST(CAST(personal_attributes(CAST(to_json(user_attributes)
                AS VARCHAR)) AS JSON) AS {types["user_attributes"]}),
              answers = CAST(CAST(personal_answers(CAST(to_json(answers) AS VARCHAR), (
                SELECT CAST(to_json(list_transform(list_filter(s.questions,
                  lambda q: q.type = 'email'), lambda q: q.question_id)) AS VARCHAR)
                FROM {qualified(connection, SURVEYS.name)} s WHERE s.survey_id = t.survey_id
                )) AS JSON) AS {types["answers"]}),
              extra = CAST(personal_extra(CAST(extra AS VARCHAR)) AS JSON),
              synced_at = $now""",
        {"now": datetime.now(UTC)},
    )
