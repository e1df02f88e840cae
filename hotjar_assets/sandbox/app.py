"""The sandbox's HTTP interface: Hotjar's API and export and Contentsquare's API, with faults.

Here is decided what a request is answered with. The data is in `account`, what faults do in
`spoiling`, the socket and the thread in `server`, and the endpoints that change the sandbox in
`control`.

Source: https://help.hotjar.com/hc/en-us/articles/36820005914001-Hotjar-API-Reference (read on
2026-11-20) and docs.contentsquare.com /en/api/responses/ (read on the same day). Where they are
silent, the sandbox chooses: the default `limit` is 20, a 429 carries Retry-After, a user lookup is
answered with an empty object, and Contentsquare's token answer names the server as `endpoint`.
"""

import asyncio
import math
import secrets
import threading
from collections import deque
from dataclasses import replace
from typing import Any, Literal
from urllib.parse import unquote

import msgspec
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import Message, Receive, Scope, Send

from hotjar_assets.sandbox.account import PageSlice, SandboxAccount, decode, encode
from hotjar_assets.sandbox.constants import SANDBOX_HEADER
from hotjar_assets.sandbox.contentsquare import ContentsquareAccount
from hotjar_assets.sandbox.control import control_routes
from hotjar_assets.sandbox.faults import Fault, Faults, PathKind, Platform, Target
from hotjar_assets.sandbox.insights import Downloads, export_file, wide_csv
from hotjar_assets.sandbox.settings import ServerSettings
from hotjar_assets.sandbox.spoiling import answer_instead, spoil_answer, spoil_page
from hotjar_assets.sandbox.wire import (
    Answer,
    BadRequestError,
    PageRequest,
    ReceivedRequest,
    RequestLog,
    envelope,
    error_answer,
    json_answer,
    oauth_error,
    parse_page_request,
    parse_request,
    parse_target,
)

_MARK = (SANDBOX_HEADER.lower().encode(), b"1")
_WINDOW_SECONDS = 60.0
_POSTED = frozenset({"token", "login", "user_lookup"})
_OPEN: frozenset[PathKind] = frozenset({"token", "login", "download"})
_INSIGHTS: frozenset[PathKind] = frozenset({"polls", "poll", "questions", "export"})
_LISTED = frozenset({"surveys", "responses"})


class SandboxApp:
    """The ASGI application: the API under /v1, and /_sandbox to change what it answers."""

    def __init__(
        self,
        account: SandboxAccount,
        *,
        faults: Faults,
        requests: RequestLog,
        settings: ServerSettings,
        downloads_url: str,
    ) -> None:
        """Serve `account`, going wrong as `faults` says and noting what comes in.

        What is exported is handed out at `downloads_url` alone, an address of its own.
        """
        self.account = account
        self._shown: dict[Platform, SandboxAccount | ContentsquareAccount] = {
            "hotjar": account,
            "contentsquare": ContentsquareAccount(account),
        }
        self.faults = faults
        self.requests = requests
        self._settings = settings
        self._tokens = _Tokens(settings)
        self._sessions = _Tokens(settings)
        self._downloads = Downloads(downloads_url)
        self._rate_limit = _RateLimit(settings)
        self._second_cursors: dict[str, str] = {}
        control = control_routes(
            account, faults=faults, requests=requests, expire_tokens=self.expire_tokens
        )
        self._starlette = Starlette(
            routes=[Mount("/_sandbox", routes=control), Mount("/", app=self._serve_api)]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every answer says that it comes from the sandbox."""

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], _MARK]
            await send(message)

        await self._starlette(scope, receive, send_marked)

    def expire_tokens(self) -> None:
        """Make every token and session issued so far invalid."""
        self._tokens.expire()
        self._sessions.expire()

    async def _serve_api(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = parse_request(scope, await _read_body(receive))
        self.requests.append(request)
        if self._settings.latency_seconds:
            await asyncio.sleep(self._settings.latency_seconds)
        answer = await self._answer(request)
        if answer.is_cut:
            await _send_half(answer, send)
        if answer.is_cut or answer.is_dropped:
            await _hang_up(scope, receive)
            return
        response = Response(
            answer.body,
            status_code=answer.status,
            headers=dict(answer.headers),
            media_type=answer.content_type,
        )
        await response(scope, receive, send)

    async def _answer(self, request: ReceivedRequest) -> Answer:
        target = parse_target(request)
        page_request, page, bad_request = None, None, None
        if target.path in _LISTED:
            try:
                page_request = parse_page_request(request, target)
            except BadRequestError as error:
                bad_request = error_answer(400, message=str(error))
            else:
                page = self._page(page_request)
                target = replace(
                    target,
                    page=page_request.cursor.page,
                    is_last=page is not None and page.next_position is None,
                )
        fault: Fault | None = None
        for struck in self.faults.strike(target):
            if struck.kind == "slow":
                await asyncio.sleep(struck.delay_seconds)
            else:
                fault = struck
        if fault is not None:
            instead = answer_instead(fault, request)
            if instead is not None:
                return instead
        answer = self._refusal(request, target) or bad_request
        if answer is None and page_request is not None and page is not None:
            answer = Answer(200, self._page_body(page_request, page, fault))
        elif answer is None:
            answer = self._api_answer(request, target)
        return answer if fault is None else spoil_answer(fault, answer)

    def _refusal(  # noqa: PLR0911 - one line a reason, in the order the API checks them
        self, request: ReceivedRequest, target: Target
    ) -> Answer | None:
        """Return the error that the API answers with, or None when it does what is asked."""
        retry_after_seconds = self._rate_limit.retry_after_seconds()
        if retry_after_seconds is not None:
            return error_answer(429, retry_after=retry_after_seconds)
        if target.path == "any":
            return error_answer(404)
        if request.method != ("POST" if target.path in _POSTED else "GET"):
            return error_answer(405)
        if (target.path == "download") != (request.headers.get("host") == self._downloads.host):
            return error_answer(404)
        if target.path in _OPEN:
            return None
        if not self._is_authorized(request, target):
            return error_answer(401)
        if target.path == "user_lookup":
            return None if self.account.plan_allows_user_lookup else error_answer(403)
        if target.path not in _INSIGHTS and not self.account.plan_allows_export:
            return error_answer(403)
        return None if self._is_known(target) else error_answer(404)

    def _is_authorized(self, request: ReceivedRequest, target: Target) -> bool:
        if target.path in _INSIGHTS:
            return self._sessions.is_good("hotjar", request.headers.get("x-acc", ""))
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._tokens.is_good(target.platform, token)

    def _is_known(self, wanted: Target | PageRequest) -> bool:
        shown, site_id = self._shown[wanted.platform], wanted.site_id or ""
        if wanted.survey_id is None:
            return shown.has_site(site_id)
        return shown.has_survey(site_id, wanted.survey_id)

    def _api_answer(self, request: ReceivedRequest, target: Target) -> Answer:
        if target.path == "token":
            return self._token(request)
        if target.path == "user_lookup":
            return self._user_lookup(request)
        if target.path == "login":
            return self._login(request)
        if target.path == "download":
            return self._downloads.answer(request)
        if target.path in _INSIGHTS:
            return self._insights_answer(request, target)
        return Answer(200, self._shown[target.platform].survey_body(target.survey_id or ""))

    def _token(self, request: ReceivedRequest) -> Answer:
        if request.media_type == "application/json":
            return self._project_token(request)
        if request.media_type != "application/x-www-form-urlencoded":
            return oauth_error(400, "invalid_request", "The body must be form-encoded.")
        if request.form.get("grant_type") != "client_credentials":
            return oauth_error(400, "unsupported_grant_type", "Use client_credentials.")
        credentials = (request.form.get("client_id"), request.form.get("client_secret"))
        if credentials != (self._settings.client_id, self._settings.client_secret):
            return oauth_error(401, "invalid_client", "Unknown client, or wrong secret.")
        return json_answer(
            {
                "access_token": self._tokens.issue("hotjar"),
                "token_type": "Bearer",
                "expires_in": int(self._settings.token_lifetime_seconds),
            }
        )

    def _project_token(self, request: ReceivedRequest) -> Answer:
        """Answer Contentsquare's token call."""
        try:
            login = msgspec.json.decode(request.body, type=_ProjectLogin)
        except (ValueError, msgspec.MsgspecError) as error:
            return oauth_error(400, "invalid_request", str(error))
        if login.grant_type != "client_credentials":
            return oauth_error(400, "unsupported_grant_type", "Use client_credentials.")
        if login.scope != "surveys":
            return oauth_error(400, "invalid_scope", "The scope is surveys.")
        credentials = (login.client_id, login.client_secret)
        if credentials != (self._settings.client_id, self._settings.client_secret):
            return oauth_error(401, "invalid_client", "Unknown client, or wrong secret.")
        if login.project_id and not self._shown["contentsquare"].has_site(login.project_id):
            return oauth_error(403, "access_denied", "Not a project of this client.")
        return json_answer(
            {
                "access_token": self._tokens.issue("contentsquare"),
                "token_type": "Bearer",
                "expires_in": int(self._settings.token_lifetime_seconds),
                "scope": login.scope,
                "endpoint": self._settings.endpoint or f"http://{request.headers['host']}",
            }
        )

    def _login(self, request: ReceivedRequest) -> Answer:
        try:
            login = msgspec.json.decode(request.body, type=_Login)
        except (ValueError, msgspec.MsgspecError) as error:
            return error_answer(400, message=str(error))
        credentials = (login.action, login.email, login.password)
        if credentials != ("login", self._settings.email, self._settings.password):
            return error_answer(401)
        cookie = f"ACC={self._sessions.issue('hotjar')}; Path=/; HttpOnly"
        return Answer(200, encode({"success": True}), headers={"Set-Cookie": cookie})

    def _insights_answer(self, request: ReceivedRequest, target: Target) -> Answer:
        site_id, survey_id = target.site_id or "", target.survey_id or ""
        if target.path == "polls":
            return json_answer(self.account.surveys(site_id, with_questions=False))
        survey = self.account.survey(survey_id)
        if target.path == "questions":
            return json_answer({"questions": survey["questions"]})
        if target.path == "poll":
            return json_answer({"poll": survey})
        try:
            query = msgspec.json.decode(request.query.get("survey_query", ""), type=_SurveyQuery)
        except msgspec.MsgspecError as error:
            return error_answer(400, message=str(error))
        if (request.query.get("format"), request.query.get("async_export")) != ("csv", "false"):
            return error_answer(400, message="Only format=csv and async_export=false are known.")
        numbered = self.account.numbered_responses(survey_id)
        text = wide_csv(survey, numbered if query.sort_by == "-index" else numbered[::-1])
        url = self._downloads.add(export_file(text, self._settings.export_format))
        return json_answer({"download_url": url})

    def _user_lookup(self, request: ReceivedRequest) -> Answer:
        if unquote(request.path.split("/")[3]) != self.account.organization_id:
            return error_answer(404)
        try:
            lookup = msgspec.json.decode(request.body, type=_UserLookup)
        except (ValueError, msgspec.MsgspecError) as error:
            return error_answer(400, message=str(error))
        if not lookup.data_subject_email and not lookup.data_subject_site_id_to_user_id_map:
            return error_answer(400, message="Give an e-mail address or user ids.")
        self.account.user_lookups.append(decode(request.body))
        self.account.look_up_user(
            email=lookup.data_subject_email,
            user_ids=lookup.data_subject_site_id_to_user_id_map or {},
            delete=lookup.delete_all_hits,
        )
        return json_answer({})

    def _page(self, request: PageRequest, *, step_back: int = 0) -> PageSlice | None:
        """Read the page, or return None when the site or survey is not there."""
        if not self._is_known(request):
            return None
        shown = self._shown[request.platform]
        try:
            if request.survey_id is not None:
                return shown.response_page(
                    request.survey_id,
                    request.cursor.position,
                    request.limit,
                    paging=self._settings.paging,
                    order=self._settings.order,
                    step_back=step_back,
                )
            return shown.survey_page(
                request.site_id,
                request.cursor.position,
                request.limit,
                with_questions=request.with_questions,
                paging=self._settings.paging,
                step_back=step_back,
            )
        except KeyError:
            # The survey was removed by another thread since the question was asked.
            return None

    def _page_body(self, request: PageRequest, page: PageSlice, fault: Fault | None) -> bytes:
        if fault is not None and fault.kind == "overlap":
            page = self._page(request, step_back=fault.rows) or page
        next_cursor = None
        if page.next_position is not None:
            next_cursor = request.cursor_after(page.next_position)
            if request.cursor.page == 1:
                self._second_cursors[request.cursor.listing] = next_cursor
        if fault is None:
            return envelope(page.rows, next_cursor)
        second_cursor = self._second_cursors.get(request.cursor.listing)
        return spoil_page(fault, request, page.rows, next_cursor, second_cursor=second_cursor)


class _ProjectLogin(msgspec.Struct):
    client_id: str
    client_secret: str
    grant_type: str
    scope: str
    project_id: str | None = None


class _UserLookup(msgspec.Struct):
    data_subject_email: str | None = None
    data_subject_site_id_to_user_id_map: dict[str, str] | None = None
    delete_all_hits: bool = False


class _Login(msgspec.Struct):
    action: str
    email: str
    password: str
    remember: bool


class _SurveyQuery(msgspec.Struct):
    """What its clauses look like is not public, so they are taken and leave nothing out."""

    sort_by: Literal["-index", "index"]
    clauses: list[Any]


class _Tokens:
    """The tokens issued, and until when each is good."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._good_until: dict[tuple[Platform, str], float] = {}

    def issue(self, platform: Platform) -> str:
        token = f"sandbox-token-{secrets.token_hex(16)}"
        good_until = self._settings.monotonic() + self._settings.token_lifetime_seconds
        with self._lock:
            self._good_until[platform, token] = good_until
        return token

    def is_good(self, platform: Platform, token: str) -> bool:
        with self._lock:
            good_until = self._good_until.get((platform, token), -math.inf)
        return self._settings.monotonic() < good_until

    def expire(self) -> None:
        with self._lock:
            self._good_until.clear()


class _RateLimit:
    """A sliding window of one minute; a request that is refused does not count."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._accepted: deque[float] = deque()

    def retry_after_seconds(self) -> int | None:
        """Count a request; return how long to wait if it is one too many."""
        if self._settings.requests_per_minute is None:
            return None
        now = self._settings.monotonic()
        while self._accepted and self._accepted[0] <= now - _WINDOW_SECONDS:
            self._accepted.popleft()
        if len(self._accepted) < self._settings.requests_per_minute:
            self._accepted.append(now)
            return None
        oldest = self._accepted[0] if self._accepted else now
        return max(1, math.ceil(oldest + _WINDOW_SECONDS - now))


async def _read_body(receive: Receive) -> bytes:
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _send_half(answer: Answer, send: Send) -> None:
    headers = [
        (b"content-type", answer.content_type.encode()),
        (b"content-length", str(len(answer.body)).encode()),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    half = answer.body[: len(answer.body) // 2]
    await send({"type": "http.response.body", "body": half, "more_body": True})


async def _hang_up(scope: Scope, receive: Receive) -> None:
    """Close the connection under an unfinished answer; see `serving` for the transport."""
    scope["state"]["transport"].close()
    while (await receive())["type"] != "http.disconnect":
        pass
