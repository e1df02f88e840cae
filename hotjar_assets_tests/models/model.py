"""An account whose answers are as odd as answers get, its tables, and dbt on them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import yaml

from hotjar_assets.defs.dbt import PROJECT
from hotjar_assets.sandbox import SandboxAccount
from hotjar_assets.sandbox.catalog import default_blueprints
from hotjar_assets.schema import SURVEY_RESPONSES, SURVEYS, Table
from hotjar_assets_tests.dagster.model import CLOCK
from hotjar_assets_tests.models.recomputed import Raw, Rules

DBT = str(Path(sys.executable).with_name("dbt"))
EVERY_TYPE = "1204510"
"""The survey with a question of every type."""
ODD = [
    "",
    " ",
    "ten",
    "10.5",
    "11",
    "-1",
    "NaN",
    "1e1",
    "9" * 400,
    "9.0",
    " 7 ",
    "\uff10",
    "💥",
    None,
]


def odd_account() -> SandboxAccount:
    """Return the default account, smaller, with answers that are no numbers among its scores."""
    account = SandboxAccount(
        clock=CLOCK,
        blueprints=[
            replace(blueprint, responses=min(blueprint.responses, 120))
            for blueprint in default_blueprints()
        ],
    )
    questions = account.survey(EVERY_TYPE)["questions"]
    for number, said in enumerate(ODD):
        answers = [
            {"question_id": question["id"], "answer": said, "tags": [], "sentiment": None}
            for question in questions
        ]
        answers.append({"question_id": "gone", "answer": said, "tags": [{"name": "t"}] * 2})
        account.add_responses(EVERY_TYPE, answers=answers, device=None if number % 2 else "tablet")
    # A day of its own in which all are promoters.
    nps = next(question["id"] for question in questions if question["type"] == "nps")
    for _ in range(3):
        account.add_responses(
            EVERY_TYPE,
            created_at=CLOCK.replace(year=2024),
            answers=[{"question_id": nps, "answer": "9"}],
        )
    return account


def dbt_environment(database: Path, project: Path = PROJECT) -> dict[str, str]:
    """Return the environment in which dbt works on a database."""
    target = str(database.parent / "target")
    return {
        **os.environ,
        "HOTJAR_DATABASE": str(database),
        "DBT_PROFILES_DIR": str(project),
        "DBT_TARGET_PATH": target,
        "DBT_LOG_PATH": target,
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


def dbt(*arguments: str, database: Path, project: Path = PROJECT, **variables: Any) -> str:
    """Run dbt and return what it printed; it must succeed."""
    given = ["--vars", yaml.safe_dump(variables)] if variables else []
    done = subprocess.run(
        [DBT, "--no-use-colors", *arguments, *given],
        cwd=project,
        env=dbt_environment(database, project),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def rows(database: Path, sql: str) -> list[dict[str, Any]]:
    with duckdb.connect(str(database)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(sql)
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@cache
def raw(database: Path, rules: Rules) -> Raw:
    """Read the raw rows that Hotjar still has; once, for they do not change."""
    listed, written = (
        rows(database, f"FROM hotjar.{table}") for table in ("surveys", "survey_responses")
    )
    surveys, responses = (
        [row for row in found if row["deleted_at"] is None] for found in (listed, written)
    )
    known = {row["survey_id"] for row in listed}
    imported = {row["survey_id"]: row for row in responses if row["survey_id"] not in known}
    of_its_rows = ("survey_id", "site_id", "platform")
    surveys += [
        dict.fromkeys(listed[0]) | {name: row[name] for name in of_its_rows}
        for row in imported.values()
    ]
    return Raw(surveys, responses, rules)


def by_key(
    found: Iterable[Mapping[str, Any]], key: Sequence[str]
) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    """Map rows by their key; a key that stands twice fails."""
    found = list(found)
    keyed = {tuple(row[name] for name in key): row for row in found}
    assert len(keyed) == len(found)
    return keyed


# --- Small surveys of every kind ---------------------------------------------------------------

SMALL_SURVEYS = 120
# The last moments of a day, a week, a month and a year, and the first ones after them.
_BEGUN = datetime(2025, 12, 31, 22, tzinfo=UTC), datetime(2026, 3, 1, 20, tzinfo=UTC)
_PAGES = ["https://a.example/x", "https://a.example/x/?q=1#top", "https://a.example/", None]
_SAID: dict[str, list[str | None]] = {
    "nps": ["0", "6", "7", "8", "9", "10", "10"],
    "rating-1-5": ["1", "3", "4", "5"],
    "rating-1-7": ["1", "4", "5", "6", "7"],
    "reaction": ["hate", "Love", "neutral", "2"],
    "reaction-binary": ["like", "Dislike", "1"],
    "single-option": ["Pear", "Apple", " Pear"],
    "long-text": ["Slow", " Good \n", "\t"],
    "statement": [None],
}


def add_small_surveys(database: Path, seed: int = 7) -> None:
    """Add surveys of none to five responses, so that every score meets its edges somewhere."""
    random = Random(seed)
    surveys: list[dict[str, Any]] = []
    responses: list[dict[str, Any]] = []
    for number in range(SMALL_SURVEYS):
        survey_id, questions = f"small-{number}", _questions(random)
        survey_deleted_at = "2026-04-01" if random.random() < 0.05 else None
        # The responses of the others were imported.
        listed = surveys if number % 10 or survey_deleted_at else []
        listed.append(
            {
                "survey_id": survey_id,
                "name": random.choice([f"Small {number}", None]),
                "platform": "hotjar",
                "questions": questions,
                "deleted_at": survey_deleted_at,
            }
        )
        # Whole surveys of promoters, of one answer each, and so on, come of a few words.
        words = {
            kind: random.choices([*said * 5, *ODD], k=random.randint(1, 3))
            for kind, said in _SAID.items()
        }
        for response in range(random.choice([0, 1, 1, 2, 3, 5])):
            deleted_at = survey_deleted_at or random.choice([None] * 6 + ["2026-04-01"])
            responses.append(
                {
                    "survey_id": survey_id,
                    "response_id": str(response),
                    "platform": "hotjar",
                    "created_at": _begun(random),
                    "is_complete": random.choice([True, True, False, None]),
                    "device": random.choice(["desktop", "mobile", "tablet", None]),
                    "response_origin_url": random.choice(_PAGES),
                    "answers": _answers(random, questions, words),
                    "deleted_at": deleted_at,
                }
            )
    _insert(database, SURVEYS, surveys)
    _insert(database, SURVEY_RESPONSES, responses)


def _questions(random: Random) -> list[dict[str, Any]] | None:
    kinds = random.sample(list(_SAID), random.randint(0, 4))
    questions = [
        {
            "question_id": f"q{position}",
            "position": position,
            "type": kind,
            "text": random.choice(["Was it easy?", "Happy?", None]),
            "is_required": random.choice([True, False]),
        }
        for position, kind in enumerate(kinds, start=1)
    ]
    if questions and random.random() < 0.1:
        questions.append({**questions[0], "position": 9, "type": "nps"})
    return questions or (None if random.random() < 0.5 else [])


def _answers(
    random: Random, questions: list[dict[str, Any]] | None, words: Mapping[str, Sequence[Any]]
) -> list[dict[str, Any]] | None:
    answers = [
        {
            "question_id": question["question_id"] if random.random() < 0.97 else "gone",
            "answer": random.choice(words[question["type"]]),
            "comment": random.choice([None, None, "why", " \n"]),
            "tags": random.choice([None, [], ["price"], ["price", "price", "speed"], [None]]),
            "sentiment": random.choice([None, None, "positive", "neutral", "negative"]),
        }
        for question in questions or ()
        for _ in range(random.choice([0, 1, 1, 1, 2]))
    ]
    return answers or (None if random.random() < 0.5 else [])


def _begun(random: Random) -> str:
    return (random.choice(_BEGUN) + timedelta(minutes=random.randint(0, 600))).isoformat()


def _insert(database: Path, table: Table, inserted: Sequence[Mapping[str, Any]]) -> None:
    file = database.with_name("inserted.json")
    file.write_text("\n".join(map(json.dumps, inserted)), encoding="utf-8")
    types = {column.name: column.type for column in table.columns}
    with duckdb.connect(str(database)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"INSERT INTO hotjar.{table.name} BY NAME "
            "SELECT * REPLACE (now() AS synced_at) FROM read_json(?, columns := ?)",
            [str(file), types],
        )
