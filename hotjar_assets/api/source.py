"""What a sync reads: an account's surveys and responses, whatever they are read through.

`SurveySource` (or, of a file, `ResponseSource`) is what the rooms after `api` know of it;
`HttpSource` is what every account reached over HTTP shares. Which endpoints there are is in
`client` and `insights`.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, TypedDict, Unpack

from hotjar_assets.api.auth import Auth
from hotjar_assets.api.dialects import HOTJAR
from hotjar_assets.api.limits import DEFAULT_LIMITS, Limits
from hotjar_assets.api.paced import PacedClient
from hotjar_assets.api.records import Page, RecordT, Response, Survey
from hotjar_assets.api.refusals import Advice
from hotjar_assets.api.transport import RequestCount
from hotjar_assets.config import Platform
from hotjar_assets.errors import HotjarNotFoundError, HotjarUnknownSurveyError

SANDBOX_HEADER = "Hotjar-Assets-Sandbox"
"""Header by which the answers of a sandbox are known, however it was reached."""


class ResponseSource(Protocol):
    """The responses of some surveys; safe under threads, lazy."""

    @property
    def name(self) -> str:
        """What the ids of its responses belong to: `api` or `insights`."""

    @property
    def platform(self) -> str:
        """The platform of the account, as it stands in every row."""

    @property
    def is_newest_first(self) -> bool:
        """Whether responses are known to come newest first. If not, pages must prove it."""

    @property
    def site_ids(self) -> tuple[str, ...]:
        """The sites that are read."""

    @property
    def is_filtered(self) -> bool:
        """Whether it may leave responses out, so that one it does not give may exist."""

    @property
    def account(self) -> str:
        """`sandbox` or `real`: who answered."""

    def find_site(self, survey_id: str, *, count: RequestCount | None = None) -> str:
        """Return the id of the site that has a survey."""

    def iter_response_pages(
        self,
        site_id: str,
        survey_id: str,
        *,
        folder: Path | None = None,
        count: RequestCount | None = None,
    ) -> Iterator[Page[Response]]:
        """Yield a survey's responses in pages.

        Args:
            site_id: The site the survey is on.
            survey_id: The survey.
            folder: Where there is room for what must be put down meanwhile; None: the system's.
            count: Where to count the requests.
        """

    def resume(self) -> None:
        """Let readers wait again after a `cancel`."""

    def cancel(self) -> None:
        """Make every waiting reader stop with an error."""


class SurveySource(ResponseSource, Protocol):
    """An account: its surveys, and their responses."""

    @property
    def requests_sent(self) -> int:
        """Requests sent so far, with retries and logins."""

    @property
    def retries(self) -> int:
        """Attempts so far that repeated one which failed."""

    def authenticate(self) -> None:
        """Log in, which every other call does by itself."""

    def iter_surveys(
        self, site_id: str, *, with_questions: bool = True, count: RequestCount | None = None
    ) -> Iterator[Survey]:
        """Yield every survey of a site."""

    def list_surveys(self) -> list[Survey]:
        """List the surveys of all sites, without their questions."""

    def close(self) -> None:
        """Stop waiting readers and close the connections."""


class HttpOptions(TypedDict, total=False):
    """What every account reached over HTTP may be given.

    Attributes:
        requests_per_minute: What the account allows; default 3000.
        use_environment: Whether proxies and certificates come from the environment; default true.
        sleep: Sleeps that many seconds, returning true if it was cancelled meanwhile.
        clock: Seconds on a clock that never goes backwards.
        limits: How large answers and exports may be.
    """

    requests_per_minute: float
    use_environment: bool
    sleep: Callable[[float], bool | None]
    clock: Callable[[], float]
    limits: Limits


class HttpSource(PacedClient, ABC):
    """An account reached over HTTP; nothing is requested before a call.

    Args:
        api_url: Base URL.
        auth: How requests prove who asks.
        advice: What refusals mean.
        site_ids: The sites of the account that are read.
        domain: Under which a login may name another host; see `Transport`.
        options: See `HttpOptions`.
    """

    is_filtered = False
    platform: str = HOTJAR.platform
    is_newest_first = True

    def __init__(
        self,
        api_url: str,
        *,
        auth: Auth,
        advice: Advice,
        site_ids: tuple[str, ...],
        domain: str | None = None,
        **options: Unpack[HttpOptions],
    ) -> None:
        self.site_ids = site_ids
        self.limits = options.get("limits", DEFAULT_LIMITS)
        self._seen_sandbox = False
        super().__init__(
            api_url,
            requests_per_minute=options.get("requests_per_minute", 3000),
            sleep=options.get("sleep"),
            clock=options.get("clock", time.monotonic),
            auth=auth,
            advice=advice,
            domain=domain,
            use_environment=options.get("use_environment", True),
            on_answer=self._note_account,
            limits=self.limits,
        )

    @property
    def account(self) -> str:
        """`sandbox` once an answer carried the sandbox's header, else `real`."""
        return "sandbox" if self._seen_sandbox else "real"

    def authenticate(self) -> None:
        """Log in, which every other call does by itself.

        Raises:
            HotjarAuthError: The login was refused.
            HotjarApiError: As its subclasses say.
        """
        self._transport.authenticate()

    @abstractmethod
    def iter_surveys(
        self, site_id: str, *, with_questions: bool = True, count: RequestCount | None = None
    ) -> Iterator[Survey]:
        """Yield every survey of a site."""

    def list_surveys(self) -> list[Survey]:
        """List the surveys of all sites, without their questions; errors as in `iter_surveys`."""
        return [
            survey
            for site_id in self.site_ids
            for survey in self.iter_surveys(site_id, with_questions=False)
        ]

    @abstractmethod
    def get_survey(
        self, site_id: str, survey_id: str, *, count: RequestCount | None = None
    ) -> Survey:
        """Get one survey; errors as in `iter_surveys`."""

    def find_site(self, survey_id: str, *, count: RequestCount | None = None) -> str:
        """Ask each site for a survey and return the id of the one that has it.

        Raises:
            HotjarUnknownSurveyError: None has it.
        """
        for site_id in self.site_ids:
            try:
                self.get_survey(site_id, survey_id, count=count)
            except HotjarNotFoundError:
                continue
            return site_id
        where = (
            f"not in the project {self.site_ids[0]}"
            if self.platform == Platform.CONTENTSQUARE
            else f"on none of the sites {', '.join(self.site_ids)}"
        )
        raise HotjarUnknownSurveyError(survey_id, where)

    def _placed(self, record: RecordT, site_id: str) -> RecordT:
        record.site_id = site_id
        record.platform = self.platform
        return record

    def _note_account(self, headers: Mapping[str, str]) -> None:
        if SANDBOX_HEADER in headers:
            self._seen_sandbox = True
