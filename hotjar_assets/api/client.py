"""The endpoints of the Hotjar API v1, as one account sees them.

Source: help.hotjar.com "Hotjar API Reference" (read 2026-11-20). There is no endpoint that lists
the sites, so their ids are settings.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import quote

from hotjar_assets.api.dialects import HOTJAR, Dialect
from hotjar_assets.api.pacing import Pacer, Wait
from hotjar_assets.api.pagination import iter_pages
from hotjar_assets.api.records import (
    Page,
    RecordT,
    Response,
    Survey,
    decode_response_page,
    decode_survey,
    decode_survey_page,
)
from hotjar_assets.api.transport import RequestCount, Transport
from hotjar_assets.errors import HotjarNotFoundError, HotjarUnknownSurveyError

PAGE_SIZE = 100
"""The most rows the API gives in a page."""
SANDBOX_HEADER = "Hotjar-Assets-Sandbox"
"""Header by which the answers of a sandbox are known, however it was reached."""


class HotjarClient:
    """Read surveys and responses; safe under threads, lazy, nothing is requested before a call.

    Args:
        api_url: Base URL.
        client_id: Client id of the API key.
        client_secret: Its secret.
        site_ids: The sites of the account that are read.
        dialect: How the platform of the account speaks the API.
        requests_per_minute: What the account allows.
        use_environment: Whether proxies and certificates come from the environment.
        sleep: Sleeps that many seconds, returning true if it was cancelled meanwhile.
        clock: Seconds on a clock that never goes backwards.
    """

    def __init__(
        self,
        api_url: str,
        *,
        client_id: str,
        client_secret: str,
        site_ids: tuple[str, ...],
        dialect: Dialect = HOTJAR,
        requests_per_minute: float = 3000,
        use_environment: bool = True,
        sleep: Callable[[float], bool | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.site_ids = site_ids
        self._dialect = dialect
        self._wait = Wait(sleep)
        self._seen_sandbox = False
        self._transport = Transport(
            api_url,
            auth=dialect.auth(client_id, client_secret, clock),
            advice=dialect.advice,
            pacer=Pacer(requests_per_minute, sleep=self._wait, clock=clock),
            sleep=self._wait,
            clock=clock,
            use_environment=use_environment,
            on_answer=self._note_account,
        )

    @property
    def requests_sent(self) -> int:
        """Requests sent so far, with retries and token requests."""
        return self._transport.total.sent

    @property
    def is_newest_first(self) -> bool:
        """Whether the platform's responses are known to come newest first."""
        return self._dialect.is_newest_first

    @property
    def account(self) -> str:
        """`sandbox` once an answer carried the sandbox's header, else `real`."""
        return "sandbox" if self._seen_sandbox else "real"

    def authenticate(self) -> None:
        """Get a token, which every other call does by itself.

        Raises:
            HotjarAuthError: The key was refused.
            HotjarApiError: As its subclasses say.
        """
        self._transport.authenticate()

    def iter_surveys(
        self, site_id: str, *, with_questions: bool = True, count: RequestCount | None = None
    ) -> Iterator[Survey]:
        """Yield every survey of a site, in the API's order.

        Raises:
            HotjarNotFoundError: There is no such site.
            HotjarAuthError: The key or the plan does not allow it.
            HotjarApiError: As its subclasses say.
        """
        params: dict[str, str | int] = {"with_questions": str(with_questions).lower()}
        path = self._dialect.surveys(site_id)
        pages = self._iter_pages(path, decode_survey_page, params, None, count)
        for page in pages:
            for survey in page.results:
                yield self._placed(survey, site_id)

    def list_surveys(self) -> list[Survey]:
        """List the surveys of all sites, without their questions; errors as in `iter_surveys`."""
        return [
            survey
            for site_id in self.site_ids
            for survey in self.iter_surveys(site_id, with_questions=False)
        ]

    def get_survey(
        self, site_id: str, survey_id: str, *, count: RequestCount | None = None
    ) -> Survey:
        """Get one survey with its questions; errors as in `iter_surveys`."""
        path = self._dialect.survey(site_id, survey_id)
        survey = self._transport.get(path, decode=decode_survey, count=count)
        return self._placed(survey, site_id)

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
        raise HotjarUnknownSurveyError(survey_id, self.site_ids)

    def iter_response_pages(
        self,
        site_id: str,
        survey_id: str,
        *,
        start_cursor: str | None = None,
        count: RequestCount | None = None,
    ) -> Iterator[Page[Response]]:
        """Yield the pages of a survey's responses, newest first as the API gives them.

        Args:
            site_id: The site the survey is on.
            survey_id: The survey.
            start_cursor: Cursor of the page to start from; None for the newest.
            count: Where to count the requests.

        Yields:
            Pages of up to `PAGE_SIZE` responses, each marked with its site and survey.

        Raises:
            HotjarNotFoundError: The survey is gone.
            HotjarPaginationError: The cursors go round in a circle.
            HotjarApiError: As its subclasses say, with the page's number.
        """
        path = f"{self._dialect.survey(site_id, survey_id)}/responses"
        pages = self._iter_pages(path, decode_response_page, {}, start_cursor, count)
        for page in pages:
            for response in page.results:
                self._placed(response, site_id).survey_id = survey_id
            yield page

    def look_up_user(
        self,
        organization_id: str,
        *,
        email: str | None = None,
        user_ids: Mapping[str, str] | None = None,
        delete_all_hits: bool = False,
    ) -> None:
        """Ask Hotjar to report on, or to delete, everything it has of a person; sent once.

        Args:
            organization_id: The organization of the account.
            email: The person's e-mail address.
            user_ids: The person's id on a site, by site id.
            delete_all_hits: True deletes at Hotjar at once and silently; False mails a report to
                the account's administrators.

        Raises:
            HotjarAuthError: User lookup needs the Ask or Observe Scale plan.
            HotjarApiError: As its subclasses say.
        """
        body: dict[str, object] = {"delete_all_hits": delete_all_hits}
        if email:
            body["data_subject_email"] = email
        if user_ids:
            body["data_subject_site_id_to_user_id_map"] = dict(user_ids)
        path = f"/v1/organizations/{quote(organization_id, safe='')}/user-lookup"
        self._transport.post(path, json_body=body)

    def resume(self) -> None:
        """Let readers wait again after a `cancel`."""
        self._wait.resume()

    def cancel(self) -> None:
        """Make every waiting reader stop with an error."""
        self._wait.cancel()

    def close(self) -> None:
        """Stop waiting readers and close the connections."""
        self.cancel()
        self._transport.close()

    def _iter_pages(
        self,
        path: str,
        decode: Callable[[bytes], Page[RecordT]],
        params: Mapping[str, str | int],
        start_cursor: str | None,
        count: RequestCount | None,
    ) -> Iterator[Page[RecordT]]:
        def get_page(cursor: str | None) -> Page[RecordT]:
            query = {"limit": PAGE_SIZE, **params, **({"cursor": cursor} if cursor else {})}
            return self._transport.get(path, decode=decode, params=query, count=count)

        return iter_pages(get_page, start_cursor=start_cursor)

    def _note_account(self, headers: Mapping[str, str]) -> None:
        if SANDBOX_HEADER in headers:
            self._seen_sandbox = True

    def _placed(self, record: RecordT, site_id: str) -> RecordT:
        record.site_id = site_id
        record.platform = self._dialect.platform
        return record
