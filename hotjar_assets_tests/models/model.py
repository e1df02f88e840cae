"""An account whose answers are as odd as answers get, its tables, and dbt on them."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import yaml

from hotjar_assets.defs.dbt import PROJECT
from hotjar_assets.sandbox import SandboxAccount
from hotjar_assets.sandbox.catalog import default_blueprints
from hotjar_assets_tests.dagster.model import CLOCK
from hotjar_assets_tests.models.recomputed import Raw, Rules

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


def dbt(*arguments: str, database: Path, project: Path = PROJECT, **variables: Any) -> str:
    """Run dbt and return what it printed; it must succeed."""
    target = str(database.parent / "target")
    given = ["--vars", yaml.safe_dump(variables)] if variables else []
    done = subprocess.run(
        [str(Path(sys.executable).with_name("dbt")), "--no-use-colors", *arguments, *given],
        cwd=project,
        env={
            **os.environ,
            "HOTJAR_DATABASE": str(database),
            "DBT_PROFILES_DIR": str(project),
            "DBT_TARGET_PATH": target,
            "DBT_LOG_PATH": target,
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        },
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


def raw(database: Path, rules: Rules) -> Raw:
    """Read the raw rows that Hotjar still has."""
    surveys, responses = (
        [row for row in rows(database, f"FROM hotjar.{table}") if row["deleted_at"] is None]
        for table in ("surveys", "survey_responses")
    )
    return Raw(surveys, responses, rules)


def stored(
    database: Path, model: str, key: Sequence[str], columns: Sequence[str]
) -> Mapping[tuple[Any, ...], tuple[Any, ...]]:
    """Read a mart by its key; a key that stands twice fails."""
    found = rows(database, f"FROM hotjar_marts.{model}")
    by_key = {
        tuple(row[name] for name in key): tuple(row[name] for name in columns) for row in found
    }
    assert len(by_key) == len(found)
    return by_key
