"""A second process that syncs when told to, one JSON line for each command and each answer.

    {"database": "…", "url": "…", "survey_ids": ["1"], "depth": "new"}
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hotjar_assets.sync import Depth
from hotjar_assets_tests.promises.harness import KillAt, Outcome, Tables

PROJECT = Path(__file__).resolve().parents[2]


class Worker:
    """The handle on a worker; started at the first command, and again after a kill."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def begin(
        self, tables: Tables, survey_ids: Sequence[str], depth: Depth, *, kill_at: int = 0
    ) -> None:
        """Let it sync; `kill_at` ends the process in place of that statement."""
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
        """Wait for its answer; without one it was killed."""
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.stop()
            return Outcome(is_killed=True)
        return Outcome(**json.loads(line))

    def sync(self, tables: Tables, survey_ids: Sequence[str], depth: Depth, **how: Any) -> Outcome:
        self.begin(tables, survey_ids, depth, **how)
        return self.outcome()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def serve() -> None:
    for line in sys.stdin:
        command = json.loads(line)
        tables = Tables(Path(command["database"]), command["url"])
        kill = KillAt(command["kill_at"], lambda: os._exit(137)) if command["kill_at"] else None
        outcome = tables.sync(command["survey_ids"], Depth(command["depth"]), kill=kill)
        sys.stdout.write(json.dumps(vars(outcome)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
