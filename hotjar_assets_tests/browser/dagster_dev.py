"""A running `dagster dev`, and what its /graphql says: Dagster's own view, beside the UI's."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import requests

FoundT = TypeVar("FoundT")

SURVEYS = ("hotjar", "surveys")
RESPONSES = ("hotjar", "survey_responses")
FINISHED = ("SUCCESS", "FAILURE", "CANCELED")
"""Statuses a run does not leave."""

_EVENTS = 1000
_FIGURE = """
    label
    ... on IntMetadataEntry { intValue }
    ... on BoolMetadataEntry { boolValue }
    ... on TextMetadataEntry { text }
"""


def wait_for(
    look: Callable[[], FoundT | None], what: Callable[[], str] | str, *, seconds: float = 60
) -> FoundT:
    """Look until something is there and return it; fail saying what was waited for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError(f"after {seconds} s still no {what if isinstance(what, str) else what()}")


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def clean_environment(**settings: str) -> dict[str, str]:
    """Return this process's environment without its own settings, and with these."""
    kept = {
        key: text for key, text in os.environ.items() if not key.startswith(("HOTJAR_", "DAGSTER_"))
    }
    return kept | settings


class DagsterDev:
    """`dagster dev` in a process group of its own, all of which ends with the block.

    Args:
        command: What starts it.
        folder: Where it starts; its output goes to dev.log there.
        environ: Its environment.
        port: Where the command makes it listen.
    """

    def __init__(
        self, command: Sequence[str], *, folder: Path, environ: Mapping[str, str], port: int
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "dev.log"
        self._command = command
        self._folder = folder
        self._environ = environ
        self._session = requests.Session()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            # Two code locations, one of which parses the dbt project at its first start.
            wait_for(self._is_ready, lambda: f"UI; it says:\n{self.output}", seconds=150)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def output(self) -> str:
        """What it printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def processes(self) -> list[int]:
        """The processes of its group."""
        assert self._process is not None
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                # The name, in brackets, may hold anything.
                state, _parent, group = stat.read_text().rpartition(")")[2].split()[:3]
                if int(group) == self._process.pid and state != "Z":
                    found.append(int(stat.parent.name))
        return found

    def stop(self) -> bool:
        """End it as Ctrl+C does, and by force what stays; tell whether force was not needed."""
        assert self._process is not None
        self._session.close()
        clean = self._signal(signal.SIGINT, seconds=60)
        return clean or (self._signal(signal.SIGKILL, seconds=20) and False)

    def _signal(self, number: signal.Signals, *, seconds: float) -> bool:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=seconds)
        try:
            wait_for(lambda: not self.processes, "end of its processes", seconds=5)
        except AssertionError:
            return False
        return True

    def _is_ready(self) -> bool:
        """Tell whether the UI answers, the code is loaded and the daemons run."""
        assert self._process is not None
        assert self._process.poll() is None, f"it ended:\n{self.output}"
        try:
            found = self.graphql(
                "{ assetNodes { id } instance { daemonHealth { allDaemonStatuses "
                "{ required healthy } } } }"
            )
        except requests.ConnectionError:
            return False
        daemons = found["instance"]["daemonHealth"]["allDaemonStatuses"]
        return bool(found["assetNodes"]) and all(
            daemon["healthy"] for daemon in daemons if daemon["required"]
        )

    def graphql(self, query: str, **variables: object) -> Any:
        """Return the data of a query."""
        answer = self._session.post(
            f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=30
        )
        body = answer.json()
        assert "errors" not in body, body["errors"]
        return body["data"]

    def locations(self) -> set[str]:
        """The code locations that the web server loaded."""
        query = "{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus } } } }"
        entries = self.graphql(query)["workspaceOrError"]["locationEntries"]
        return {each["name"] for each in entries}

    def runs(self) -> list[dict[str, Any]]:
        """The runs, newest first; tags as a mapping."""
        found = self.graphql(
            "{ runsOrError { ... on Runs { results { runId status jobName parentRunId "
            "tags { key value } } } } }"
        )["runsOrError"]["results"]
        return [run | {"tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in found]

    def run(self, run_id: str) -> dict[str, Any]:
        """One run."""
        return next(run for run in self.runs() if run["runId"] == run_id)

    def wait_for_run_with(self, tag: str, value: str, *, seconds: float = 60) -> dict[str, Any]:
        """Return the newest run with a tag when there is one and it has ended."""
        found = wait_for(
            lambda: next((run for run in self.runs() if run["tags"].get(tag) == value), None),
            f"run with {tag}={value}",
            seconds=seconds,
        )
        return self.wait_for_run(found["runId"], seconds=seconds)

    def wait_for_run(self, run_id: str, *, seconds: float = 60) -> dict[str, Any]:
        """Return the run when it has ended."""
        return wait_for(
            lambda: run if (run := self.run(run_id))["status"] in FINISHED else None,
            lambda: f"end of run {run_id}, {self.events(run_id)[-5:]}",
            seconds=seconds,
        )

    def events(self, run_id: str, kind: str = "") -> list[dict[str, Any]]:
        """The events of a run, oldest first, of one kind if one is named."""
        query = """query ($run: ID!, $limit: Int!) { logsForRun(runId: $run, limit: $limit) {
            ... on EventConnection { hasMore events { kind: __typename
              ... on MessageEvent { message level stepKey }
              ... on ExecutionStepFailureEvent { failureMetadata { description } } } } } }"""
        found = self.graphql(query, run=run_id, limit=_EVENTS)["logsForRun"]
        assert not found["hasMore"]
        return [event for event in found["events"] if kind in {"", event["kind"]}]

    def logged(self, run_id: str) -> list[str]:
        """What was logged in a run, oldest first."""
        return [event["message"] for event in self.events(run_id, "LogMessageEvent")]

    def partitions(self) -> dict[str, set[str]]:
        """The partitions of the responses, by status."""
        query = """query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) {
            ... on AssetNode { assetPartitionStatuses { ... on DefaultPartitionStatuses {
              materialized: materializedPartitions failed: failedPartitions
              materializing: materializingPartitions missing: unmaterializedPartitions } } } } }"""
        found = self.graphql(query, key={"path": RESPONSES})
        statuses = found["assetNodeOrError"]["assetPartitionStatuses"]
        return {status: set(keys) for status, keys in statuses.items()}

    def materializations(self, key: Sequence[str]) -> list[dict[str, Any]]:
        """The materializations of an asset, newest first, with their figures as a mapping."""
        query = f"""query ($key: AssetKeyInput!, $limit: Int!) {{
            assetNodeOrError(assetKey: $key) {{ ... on AssetNode {{
              assetMaterializations(limit: $limit) {{
                partition runId metadataEntries {{ {_FIGURE} }} }} }} }} }}"""
        found = self.graphql(query, key={"path": key}, limit=_EVENTS)
        return [
            {
                "partition": event["partition"],
                "run_id": event["runId"],
                **{
                    entry.pop("label"): next(iter(entry.values()), None)
                    for entry in event["metadataEntries"]
                },
            }
            for event in found["assetNodeOrError"]["assetMaterializations"]
        ]

    def by_partition(self, run_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The figures of each partition that a run materialized; fails if one stands twice."""
        seen: set[str] = set()
        for event in self.materializations(RESPONSES):
            if event["run_id"] == run_id:
                assert event["partition"] not in seen
                seen.add(event["partition"])
                yield event["partition"], event
