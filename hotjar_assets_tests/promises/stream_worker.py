"""A second process that syncs the streams of a source when told to, and kills itself on the way.

{"source": {…}, "database": "…", "kill_at": 7}

The kill is a SIGKILL in place of the n-th of all requests and writing statements; 0 means none.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from hotjar_assets.streams.reading import SourceClient
from hotjar_assets.streams.spec import Source
from hotjar_assets_tests.promises.harness import Connection, KillAt
from hotjar_assets_tests.promises.worker import PROJECT
from hotjar_assets_tests.streams.store import StreamStore


class StreamWorker:
    """The handle on a worker."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def sync(self, source: Source, database: Path, *, kill_at: int = 0) -> bool:
        """Sync every stream of a source; tell whether it was killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        described = source.model_dump(mode="json", by_alias=True, exclude_unset=True)
        command = {"source": described, "database": str(database), "kill_at": kill_at}
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        ended_by = int(self._process.stdout.readline())
        assert ended_by in {0, -signal.SIGKILL}
        return ended_by != 0


def serve() -> None:
    """Do each command in a process of its own, which may be killed."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _sync(json.loads(line))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _sync(command: dict[str, Any]) -> None:
    kill = KillAt(command["kill_at"] or sys.maxsize, lambda: os.kill(os.getpid(), signal.SIGKILL))
    store: Any = StreamStore(Path(command["database"]))
    database = store.warehouse._database
    connect = database._connect
    database._connect = lambda: Connection(connect(), kill)
    client = SourceClient(
        Source.model_validate(command["source"]),
        {},
        use_environment=False,
        on_request=lambda _: kill.check("request"),
    )
    for stream in client.source.streams:
        outcomes = store.sync(client, stream.name)
        assert not [each for each in outcomes.values() if isinstance(each, Exception)], outcomes


if __name__ == "__main__":
    serve()
