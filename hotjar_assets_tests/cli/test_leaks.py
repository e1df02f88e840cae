"""Nothing that people wrote, and no secret, leaves the database: not at any log level."""

import json
import logging
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hotjar_assets.config import Settings
from hotjar_assets.runs import local_instance, run_sync
from hotjar_assets.sandbox import SANDBOX_CLIENT_SECRET, Fault, SandboxAccount, SandboxServer
from hotjar_assets_tests.dagster.model import environment, small_account

ANSWER, VALUE, UNKNOWN, ECHO = "MARKED-answer", "MARKED-value", "MARKED-unknown", "MARKED-echo"
MARKS = [ANSWER, VALUE, UNKNOWN, ECHO]


def marked_account() -> SandboxAccount:
    account = small_account()
    for survey_id in [survey["id"] for survey in account.surveys()]:
        account.add_responses(
            survey_id,
            3,
            hotjar_user_id=f"user-{VALUE}",
            user_attributes=[{"name": "email", "value": f"{VALUE}@x.example"}],
            answers=[{"question_id": "q", "answer": ANSWER, "comment": ANSWER, "tags": []}],
            response_origin_url=f"https://shop.example.com/?q={VALUE}",
        )
    return account


def troubles(survey_ids: list[str]) -> list[Fault]:
    """A fault of another kind for each survey, each with marked text in what the API says."""

    def unknown(rows):
        return [{**row, "mood": UNKNOWN, "window_size": UNKNOWN} for row in rows]

    def unusable(rows):
        return [{**row, "created_time": UNKNOWN} for row in rows]

    echo = json.dumps({"error": ECHO, "error_description": ECHO, "message": ECHO}).encode()
    row = json.dumps({"results": [{"id": ECHO, "created_time": ECHO}]}).encode()
    kinds: list[dict[str, Any]] = [
        {"kind": "mutate_rows", "transform": unknown},
        {"kind": "mutate_rows", "transform": unusable},
        {"kind": "raw_body", "status": 400, "body": echo},
        {"kind": "raw_body", "status": 403, "body": echo},
        {"kind": "raw_body", "body": row},
        {"kind": "raw_body", "body": echo},
        {"kind": "raw_body", "body": ECHO.encode(), "content_type": "text/html"},
    ]
    return [
        Fault(path="responses", survey_id=survey_id, **kind)
        for survey_id, kind in zip(survey_ids, kinds, strict=False)
    ]


@pytest.fixture
def spoken(caplog, capfd, monkeypatch, tmp_path) -> tuple[str, bytes]:
    """Everything that three syncs said and left on the disk beside the database."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    with SandboxServer(marked_account()) as server:
        secrets = {"HOTJAR_DATABASE": str(tmp_path / "rows.duckdb")}
        settings = Settings.from_environment({**environment(server), **secrets})
        survey_ids = [survey["id"] for survey in server.account.surveys()]
        assert len(survey_ids) >= 3
        with local_instance() as instance:
            for depth in ({}, {"full": True}, {"lookback_days": 3}):
                # Bodies that are no JSON are tried again, which the waits would make slow.
                server.faults.clear()
                server.faults.add(*troubles(survey_ids)[: len(survey_ids)])
                outcome = run_sync(instance, settings, **depth)
                assert [problem for problem in outcome.problems if "created_time" in problem]
            failed = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
            assert failed
    said = capfd.readouterr()
    files = [path for path in Path(tmp_path).rglob("*") if path.is_file()]
    left = b"".join(path.read_bytes() for path in files if path.name != "rows.duckdb")
    assert len(left) > 100_000
    return "\n".join([caplog.text, said.out, said.err, *outcome.problems]), left


def test_no_answer_no_value_and_no_secret_is_said_or_left(spoken):
    text, left = spoken
    assert "DEBUG" in text
    for mark in [*MARKS, SANDBOX_CLIENT_SECRET]:
        assert mark not in text
        assert mark.encode() not in left
