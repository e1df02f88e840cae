"""What a sync has done so far, for people who watch it. No Dagster, no terminal, no database."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hotjar_assets.printable import counted, printable


class SyncProgress:
    """Counts what a sync reads and stores; safe to use from several threads.

    Attributes:
        surveys: Surveys to be read; None while that is not known.
        responses: Responses read so far, repeated ones included.
        requests: Returns the requests sent so far.
        retries: Returns how many of them repeated one that failed.
    """

    def __init__(self) -> None:
        self.surveys: int | None = None
        self.responses = 0
        self.requests: Callable[[], int] = lambda: 0
        self.retries: Callable[[], int] = lambda: 0
        self._names: dict[str, str] = {}
        self._reading: dict[str, int] = {}
        self._done: set[str] = set()
        self._lock = threading.Lock()

    @property
    def done(self) -> int:
        """Surveys that are stored or failed."""
        return len(self._done)

    def expect(self, surveys: int) -> None:
        """Set the number of surveys to be read."""
        self.surveys = surveys

    def begin(self, survey_id: str, name: str | None) -> None:
        """Note that the scan of a survey begins."""
        with self._lock:
            self._names[survey_id] = name or survey_id
            self._reading[survey_id] = 0

    def read(self, survey_id: str, responses: int) -> None:
        """Note a page of a survey."""
        with self._lock:
            self.responses += responses
            self._reading[survey_id] += responses

    def end(self, survey_id: str) -> None:
        """Note that the scan of a survey ended."""
        with self._lock:
            del self._reading[survey_id]

    def finish(self, survey_id: str) -> None:
        """Note that a survey is stored or failed; once if it is read twice."""
        with self._lock:
            self._done.add(survey_id)

    def describe(self) -> str:
        """Return one line: surveys done, responses, requests, and the survey being read."""
        with self._lock:
            # The survey with the most responses is the one that the others do not wait for.
            survey_id = max(self._reading, key=self._reading.__getitem__, default=None)
            reading = f"; reading {printable(self._names[survey_id])}" if survey_id else ""
        of_all = "" if self.surveys is None else f"{self.done} of "
        surveys = counted(self.done if self.surveys is None else self.surveys, "survey")
        responses = counted(self.responses, "response")
        return f"{of_all}{surveys}, {responses}, {counted(self.requests(), 'request')}{reading}"


@contextmanager
def repeatedly(say: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call something from another thread every so many seconds until the block ends.

    Args:
        say: What to call.
        seconds: The pause before each call; 0 calls nothing.
    """
    if not seconds:
        yield
        return
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(seconds):
            say()

    thread = threading.Thread(target=run, name="hotjar-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
