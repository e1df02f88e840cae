"""The installed program in a pseudo-terminal, as a person uses it."""

import fcntl
import os
import select
import signal
import subprocess
import sys
import termios
from pathlib import Path
from time import monotonic
from typing import Self

CTRL_C = b"\x03"
_PATIENCE_SECONDS = 100


def variables(**ours: str) -> dict[str, str]:
    """Return this process's environment with ours alone of the project's variables."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HOTJAR_", "DAGSTER_"))
    }
    return inherited | ours


def program(*args: str) -> list[str]:
    """Return the command of the installed program."""
    return [str(Path(sys.executable).with_name("hotjar-assets")), *args]


def with_default_signals() -> None:
    """Undo what a shell does to a test run in the background: it ignores Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def _as_in_a_terminal() -> None:
    with_default_signals()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A process whose input, output and controlling terminal are a pseudo-terminal.

    Attributes:
        shown: All bytes written to the terminal so far.
    """

    def __init__(self, command: list[str], folder: Path, environ: dict[str, str]) -> None:
        self.shown = b""
        self._ours, theirs = os.openpty()
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=environ,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            # This process has no threads that could hold a lock at the fork.
            preexec_fn=_as_in_a_terminal,  # noqa: PLW1509
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def press(self, keys: bytes) -> None:
        """Type something."""
        os.write(self._ours, keys)

    def read_until(self, wanted: bytes) -> None:
        """Read until the process wrote something, or fail."""
        deadline = monotonic() + _PATIENCE_SECONDS
        while wanted not in self.shown:
            assert self._read(deadline), f"{wanted!r} was not shown: {self.shown[-2000:]!r}"

    def wait(self) -> int:
        """Read to the end; return the exit code."""
        deadline = monotonic() + _PATIENCE_SECONDS
        while self._read(deadline):
            pass
        return self.process.wait(_PATIENCE_SECONDS)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(0.0, deadline - monotonic()))
        try:
            read = os.read(self._ours, 65536) if ready else b""
        except OSError:  # Linux's end of file of a terminal that nobody holds any more.
            read = b""
        self.shown += read
        return bool(read)
