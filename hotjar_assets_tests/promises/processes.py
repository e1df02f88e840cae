"""Real processes: the command line, killed, starved of disk, and in each other's way."""

import os
import resource
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path

from hotjar_assets.sandbox import SandboxServer
from hotjar_assets_tests.browser.dagster_dev import clean_environment
from hotjar_assets_tests.dagster.model import environment

PROJECT = Path(__file__).resolve().parents[2]
COMMAND = Path(sysconfig.get_path("scripts")) / "hotjar-assets"


class CommandLine:
    """`hotjar-assets sync` in a folder, with an instance and a database of its own."""

    def __init__(self, server: SandboxServer, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "dagster_home"
        self.database = folder / "warehouse.duckdb"
        self._server = server

    def environ(self, changes: Mapping[str, str]) -> dict[str, str]:
        settings = environment(self._server, self.database)
        place = {"DAGSTER_HOME": str(self.home), "PYTHONPATH": str(PROJECT)}
        return clean_environment(**{**settings, **place, **changes})

    def start(
        self,
        *arguments: str,
        prepare: Callable[[], None] | None = None,
        **changes: str,
    ) -> subprocess.Popen[str]:
        """Start a sync; `prepare` runs in the new process before it."""
        return subprocess.Popen(
            [sys.executable, str(COMMAND), "sync", "--json", "--no-models", *arguments],
            cwd=self.folder,
            env=self.environ(changes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=prepare,  # noqa: PLW1509 - sets a limit of the new process and no more
        )

    def run(self, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        """Sync to the end."""
        process = self.start(*arguments, **options)  # type: ignore[arg-type]
        output, errors = process.communicate(timeout=100)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def file_limit(size_bytes: int) -> Callable[[], None]:
    """Let no file of the process grow beyond that, as on a full disk: a write fails."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))

    return limit


def kill(process: subprocess.Popen[str]) -> None:
    """End a process as a power cut ends it."""
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=20)
