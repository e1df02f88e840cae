"""A second process that syncs when told to, one JSON line for each command and each answer.

{"database": "…", "url": "…", "survey_ids": ["1"], "depth": "new"}
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hotjar_assets.sync import Depth
from hotjar_assets_tests.promises.harness import KillAt, Outcome, Tables

PROJECT = Path(__file__).resolve().parents[2]
KILLED = 137


class Worker:
    """The handle on a worker; started at the first command."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def begin(
        self, tables: Tables, survey_ids: Sequence[str], depth: Depth, *, kill_at: int = 0
    ) -> None:
        """Let it sync; `kill_at` ends it in place of that statement."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(PROJECT)},
            )
        command = {
            "database": str(tables.path),
            "url": tables.url,
            "survey_ids": list(survey_ids),
            "depth": depth.value,
            "kill_at": kill_at,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def outcome(self) -> Outcome:
        """Wait for its answer."""
        assert self._process is not None
        assert self._process.stdout is not None
        return Outcome(**json.loads(self._process.stdout.readline()))

    def sync(self, tables: Tables, survey_ids: Sequence[str], depth: Depth, **how: Any) -> Outcome:
        self.begin(tables, survey_ids, depth, **how)
        return self.outcome()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def serve() -> None:
    """Do each command in a process of its own, which may die of it."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            sys.stdout.write(json.dumps(vars(_obey(json.loads(line)))) + "\n")
            sys.stdout.flush()
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == KILLED:
            sys.stdout.write(json.dumps(vars(Outcome(is_killed=True))) + "\n")
            sys.stdout.flush()
        elif code:
            # It has said why; whoever waits for its answer is not left waiting.
            sys.exit(code)


def _obey(command: dict[str, Any]) -> Outcome:
    tables = Tables(Path(command["database"]), command["url"])
    kill = KillAt(command["kill_at"], lambda: os._exit(KILLED)) if command["kill_at"] else None
    outcome = tables.sync(command["survey_ids"], Depth(command["depth"]), kill=kill)
    # Pictures and links are Dagster's own objects.
    stored = {
        survey_id: {name: value for name, value in figures.items() if isinstance(value, str | int)}
        for survey_id, figures in outcome.stored.items()
    }
    return replace(outcome, stored=stored)


if __name__ == "__main__":
    serve()
