"""The export of insights.hotjar.com, which an account without the API plan can use.

None of it is documented: the login and the export are those of the open-source client tap-hotjar,
the lists those of hotjar-data-wrapper (read 2026-11-20), and what their answers look like is taken
as it comes. A survey's responses come as one file; see `exports`.
"""

import json
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any, Unpack
from urllib.parse import quote

from hotjar_assets.api.auth import (
    Credentials,
    Login,
    LoginAnswer,
    TokenAuth,
    check_header_value,
)
from hotjar_assets.api.coercion import survey_from_json
from hotjar_assets.api.decoding import decode_object, decode_rows
from hotjar_assets.api.dialects import path_segment
from hotjar_assets.api.exports import iter_export_pages
from hotjar_assets.api.recipients import AnySecureHost
from hotjar_assets.api.records import Page, Response, Survey
from hotjar_assets.api.refusals import Advice
from hotjar_assets.api.source import HttpOptions, HttpSource
from hotjar_assets.api.transport import RequestCount
from hotjar_assets.config import EVERY_RESPONSE
from hotjar_assets.errors import HotjarAuthError, HotjarNotFoundError, HotjarSchemaError

EXPORT_TIMEOUT_SECONDS = 300.0
"""How long the file may take to be made: it is asked for to be made while the client waits."""
KEPT_IN_MEMORY_BYTES = 8 * 1024**2
"""A download up to this size is never written to the disk."""

_REFUSED = (
    "the login was refused: HOTJAR_EMAIL or HOTJAR_PASSWORD is wrong, or the account logs in with "
    "single sign-on (SSO) or two-factor authentication (2FA); the export works only with e-mail "
    "and password, without SSO and 2FA"
)
_ADVICE = Advice(
    url_setting="HOTJAR_API_URL",
    pace_setting="HOTJAR_REQUESTS_PER_MINUTE",
    unauthorized="the session was rejected twice in a row; check that the login of HOTJAR_EMAIL "
    "works in a browser, without SSO and 2FA",
    forbidden="not allowed: the login of HOTJAR_EMAIL may not read this site's responses",
    not_found="not found: Hotjar has no such site or survey; check HOTJAR_SITE_ID",
)
_REFUSALS = frozenset({302, 303, 307, 308, 400, 401, 403, 409, 422, 428})
"""A redirect leads to a page on which somebody would have to log in by hand."""
_SECOND_STEP = re.compile(r"\b(2fa|mfa|otp|sso|saml)\b|two.?factor", re.IGNORECASE)
_IS_NEEDED = re.compile(r"required|needed|pending|challenge", re.IGNORECASE)
_STATES = ("action", "code", "error", "next", "reason", "status", "step")


class InsightsLogin(TokenAuth):
    """E-mail and password for a session, which every further request names.

    Whether the server looks at `X-Acc` or at the cookies of the login is not documented, and
    tap-hotjar sends both. How long a session lives is not documented either: it is kept until it is
    rejected.

    Args:
        email: E-mail of the login.
        password: Its password.
        clock: Seconds on a clock that never goes backwards.
    """

    refused = _REFUSED

    def __init__(
        self, email: str, password: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(clock=clock)
        self._email = email
        self._password = password
        self._cookies: Mapping[str, str] = {}

    def secrets(self) -> tuple[str, ...]:
        """Return what must never be shown."""
        return (self._email, self._password, *self._cookies.values(), *super().secrets())

    def _login(self) -> Login:
        body = {
            "action": "login",
            "email": self._email,
            "password": self._password,
            "remember": False,
        }
        return Login("/api/v2/users", json=body, refusals=_REFUSALS, needs_json=False)

    def _token_of(self, answer: LoginAnswer) -> tuple[str, float]:
        session = answer.cookies.get("ACC")
        if not session or any(_asks_for_more(*item) for item in answer.fields.items()):
            raise HotjarAuthError(self.refused, status=200)
        for name, value in answer.cookies.items():
            check_header_value(f"{name}={value}")
        self._cookies = answer.cookies
        return session, math.inf

    def _credentials(self, token: str) -> Credentials:
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        return Credentials(headers={"X-Acc": token, "Cookie": cookies})


def _asks_for_more(name: str, value: object) -> bool:
    """Tell whether a field of a login's answer says that e-mail and password are not enough."""
    words = name.replace("_", " ")
    if value is True:
        return bool(_SECOND_STEP.search(words) and _IS_NEEDED.search(words))
    is_state = name in _STATES and isinstance(value, str)
    return is_state and bool(_SECOND_STEP.search(str(value).replace("_", " ")))


class InsightsClient(HttpSource):
    """Read surveys and responses from the export.

    Args:
        api_url: Base URL.
        email: E-mail of the login.
        password: Its password.
        site_ids: The sites that are read.
        survey_query: Which responses are exported, a JSON object.
        options: See `HttpOptions`.
    """

    name = "insights"

    def __init__(
        self,
        api_url: str,
        *,
        email: str,
        password: str,
        site_ids: tuple[str, ...],
        survey_query: str = EVERY_RESPONSE,
        **options: Unpack[HttpOptions],
    ) -> None:
        auth = InsightsLogin(email, password, clock=options.get("clock", time.monotonic))
        super().__init__(api_url, auth=auth, advice=_ADVICE, site_ids=site_ids, **options)
        self._survey_query = survey_query
        query = json.loads(survey_query)
        self.is_filtered = any(value for name, value in query.items() if name != "sort_by")

    def iter_surveys(
        self, site_id: str, *, with_questions: bool = True, count: RequestCount | None = None
    ) -> Iterator[Survey]:
        """Yield every survey of a site; with their questions, a request more for each.

        One that is gone by the time its questions are asked for is left out.

        Raises:
            HotjarNotFoundError: There is no such site.
            HotjarAuthError: The login was refused, or may not read the site.
            HotjarApiError: As its subclasses say.
        """
        path = f"/api/v1/sites/{quote(site_id, safe='')}/surveys"
        rows = self._transport.get(path, decode=decode_rows, count=count)
        for number, row in enumerate(rows):
            place = f"surveys[{number}]"
            survey = survey_from_json(row, place)
            if with_questions:
                try:
                    questions = self._questions(site_id, str(survey.id), count)
                except HotjarNotFoundError:
                    continue
                survey = survey_from_json({**row, "questions": questions}, place)
            yield self._placed(survey, site_id)

    def get_survey(
        self, site_id: str, survey_id: str, *, count: RequestCount | None = None
    ) -> Survey:
        """Get one survey; errors as in `iter_surveys`."""
        path = _survey_path("v1", site_id, survey_id)
        row = self._transport.get(path, decode=decode_object, count=count)
        return self._placed(survey_from_json(row, "survey"), site_id)

    def iter_response_pages(
        self,
        site_id: str,
        survey_id: str,
        *,
        folder: Path | None = None,
        count: RequestCount | None = None,
    ) -> Iterator[Page[Response]]:
        """Yield the responses of a survey's export: two requests, and the download.

        A download too large for the memory waits in the folder, in a file without a name, which is
        gone with this program, however that ends.

        Raises:
            HotjarNotFoundError: The survey is gone.
            HotjarSchemaError: There is no usable `download_url`, or its file is not an export.
            HotjarStoreError: The folder cannot hold the download.
            HotjarApiError: As its subclasses say.
        """
        row = {"id": survey_id, "questions": self._questions(site_id, survey_id, count)}
        survey = survey_from_json(row, "survey")
        params: dict[str, str | int] = {
            "survey_query": self._survey_query,
            "format": "csv",
            "async_export": "false",
        }
        path = f"{_survey_path('ask/v3', site_id, survey_id)}/responses/export"
        url = self._transport.get(
            path,
            decode=lambda body: _download_url(body, self._transport.download_hosts),
            params=params,
            count=count,
            read_timeout_seconds=EXPORT_TIMEOUT_SECONDS,
        )
        with SpooledTemporaryFile(
            KEPT_IN_MEMORY_BYTES, dir=str(folder) if folder else None
        ) as file:
            self._transport.download(url, file, count=count)
            for page in iter_export_pages(file, survey.questions or (), limits=self.limits):
                for response in page.results:
                    self._placed(response, site_id).survey_id = survey_id
                yield page

    def _questions(
        self, site_id: str, survey_id: str, count: RequestCount | None
    ) -> list[dict[str, Any]]:
        path = f"{_survey_path('v1', site_id, survey_id)}/questions"
        rows = self._transport.get(path, decode=decode_rows, count=count)
        return [_with_text(row) for row in rows]


def _survey_path(version: str, site_id: str, survey_id: str) -> str:
    return f"/api/{version}/sites/{quote(site_id, safe='')}/polls/{path_segment(survey_id)}"


def _with_text(question: Any) -> Any:
    """Return a question with its text under the API's name for it."""
    if isinstance(question, dict) and "text" not in question and "title" in question:
        return {("text" if name == "title" else name): value for name, value in question.items()}
    return question


def _download_url(body: bytes, hosts: AnySecureHost) -> str:
    answer = json.loads(body.decode("utf-8-sig"))
    url = answer.get("download_url") if isinstance(answer, dict) else None
    if not url:
        problem = (
            "is missing from the answer to the export, which is not ready or was refused; sync "
            "again, or export in Hotjar and use hotjar-assets import"
        )
        raise HotjarSchemaError("download_url", problem)
    try:
        return hosts.resolve(url)
    except ValueError:
        raise HotjarSchemaError("download_url", "is not an https URL") from None
