"""The endpoints of the API, as one account sees them; what differs by platform is in `dialects`.

Source: help.hotjar.com "Hotjar API Reference" (read 2026-11-20). There is no endpoint that lists
the sites, so their ids are settings.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Unpack
from urllib.parse import quote

from hotjar_assets.api.decoding import decode_response_page, decode_survey, decode_survey_page
from hotjar_assets.api.dialects import HOTJAR, Dialect
from hotjar_assets.api.limits import memory_of
from hotjar_assets.api.pagination import iter_pages
from hotjar_assets.api.records import Page, RecordT, Response, Survey
from hotjar_assets.api.source import HttpOptions, HttpSource
from hotjar_assets.api.transport import RequestCount

PAGE_SIZE = 100
"""The most rows the API gives in a page."""


class HotjarClient(HttpSource):
    """Read surveys and responses; safe under threads, lazy, nothing is requested before a call.

    Args:
        api_url: Base URL.
        client_id: Client id of the API key.
        client_secret: Its secret.
        site_ids: The sites of the account that are read; on Contentsquare, the one project.
        dialect: How the platform of the account speaks the API.
        options: See `HttpOptions`.
    """

    name = "api"

    def __init__(
        self,
        api_url: str,
        *,
        client_id: str,
        client_secret: str,
        site_ids: tuple[str, ...],
        dialect: Dialect = HOTJAR,
        **options: Unpack[HttpOptions],
    ) -> None:
        clock = options.get("clock", time.monotonic)
        super().__init__(
            api_url,
            auth=dialect.auth(client_id, client_secret, site_ids, clock),
            advice=dialect.advice,
            domain=dialect.domain,
            site_ids=site_ids,
            **options,
        )
        self._dialect = dialect
        self.platform = dialect.platform
        self.is_newest_first = dialect.is_newest_first

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
        place, memory = f"surveys of site {site_id}", 0

        def decode(body: bytes) -> Page[Survey]:
            nonlocal memory
            page = decode_survey_page(body)
            # A listing is held whole, to tell which surveys are gone.
            memory += memory_of(body)
            self.limits.check_memory(place, memory)
            return page

        for page in self._iter_pages(path, decode, params, None, count):
            for survey in page.results:
                yield self._placed(survey, site_id)

    def get_survey(
        self, site_id: str, survey_id: str, *, count: RequestCount | None = None
    ) -> Survey:
        """Get one survey with its questions; errors as in `iter_surveys`."""
        path = self._dialect.survey(site_id, survey_id)
        survey = self._transport.get(path, decode=decode_survey, count=count)
        return self._placed(survey, site_id)

    def iter_response_pages(
        self,
        site_id: str,
        survey_id: str,
        *,
        start_cursor: str | None = None,
        folder: Path | None = None,  # noqa: ARG002 - pages come one by one
        count: RequestCount | None = None,
    ) -> Iterator[Page[Response]]:
        """Yield the pages of a survey's responses in the API's order (see `is_newest_first`).

        Args:
            site_id: The site the survey is on.
            survey_id: The survey.
            start_cursor: Cursor of the page to start from; None for the first.
            folder: Not needed.
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

        return iter_pages(
            get_page,
            start_cursor=start_cursor,
            identify=lambda page: [row.id for row in page.results],
        )
