"""The sandbox's HTTP interface: Hotjar's API and export and Contentsquare's API, with faults.

Here is decided what a request is answered with. Which requests are taken at all is in `gate`, who
may ask in `access`, the data in `account`, what faults do in `spoiling`, the socket and the thread
in `server`, and the endpoints that change the sandbox in `control`.

Source: https://help.hotjar.com/hc/en-us/articles/36820005914001-Hotjar-API-Reference (read on
2026-11-20) and docs.contentsquare.com /en/api/responses/ (read on the same day). Where they are
silent, the sandbox chooses: the default `limit` is 20, and a user lookup is answered with an empty
object.
"""

import asyncio
from dataclasses import replace
from urllib.parse import unquote

import msgspec
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount
from starlette.types import Message, Receive, Scope, Send

from hotjar_assets.sandbox.access import INSIGHTS_PATHS, Access, unauthorized
from hotjar_assets.sandbox.account import SandboxAccount
from hotjar_assets.sandbox.codec import decode
from hotjar_assets.sandbox.constants import SANDBOX_HEADER
from hotjar_assets.sandbox.contentsquare import ContentsquareAccount
from hotjar_assets.sandbox.control import control_routes
from hotjar_assets.sandbox.faults import Fault, Faults, PathKind, Platform, Target
from hotjar_assets.sandbox.gate import Gate, RefusedError, read_body, replayed
from hotjar_assets.sandbox.insights import Downloads
from hotjar_assets.sandbox.limits import MAX_KEPT_LOOKUPS
from hotjar_assets.sandbox.pages import Cut, PageSlice
from hotjar_assets.sandbox.settings import ServerSettings
from hotjar_assets.sandbox.spoiling import answer_instead, spoil_answer, spoil_page
from hotjar_assets.sandbox.wire import (
    Answer,
    BadRequestError,
    PageRequest,
    ReceivedRequest,
    RequestLog,
    decode_body,
    envelope,
    error_answer,
    json_answer,
    parse_page_request,
    parse_request,
    parse_target,
)

_HEADERS = [
    (SANDBOX_HEADER.lower().encode(), b"1"),
    # A browser may not show an answer as anything but what it is called, nor give it to a page.
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_POSTED = frozenset({"token", "login", "user_lookup"})
_OPEN: frozenset[PathKind] = frozenset({"token", "login", "download"})
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
        host: str,
        downloads_url: str,
    ) -> None:
        """Serve `account`, going wrong as `faults` says and noting what comes in.

        Requests must name the address `host`. What is exported is handed out at `downloads_url`
        alone, an address of its own.
        """
        self._gate = Gate(host)
        self.account = account
        self._shown: dict[Platform, SandboxAccount | ContentsquareAccount] = {
            "hotjar": account,
            "contentsquare": ContentsquareAccount(account),
        }
        self.faults = faults
        self.requests = requests
        self._settings = settings
        self._access = Access(settings, has_project=self._shown["contentsquare"].has_site)
        self._downloads = Downloads(downloads_url)
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
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        try:
            self._gate.check(scope)
            body = await read_body(receive)
        except RefusedError as error:
            # What is left of the request is not read, so the connection cannot be used again.
            refusal = JSONResponse(
                {"error": str(error)}, status_code=error.status, headers={"Connection": "close"}
            )
            await refusal(scope, receive, send_marked)
            return
        await self._starlette(scope, replayed(body, receive), send_marked)

    def expire_tokens(self) -> None:
        """Make every token and session issued so far invalid."""
        self._access.expire()

    async def _serve_api(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = parse_request(scope, (await receive())["body"])
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
        retry_after_seconds = self._access.retry_after_seconds()
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
        if not self._access.is_authorized(request, target):
            return unauthorized(target)
        if target.path == "user_lookup":
            return None if self.account.plan_allows_user_lookup else error_answer(403)
        if target.path not in INSIGHTS_PATHS and not self.account.plan_allows_export:
            return error_answer(403)
        return None if self._is_known(target) else error_answer(404)

    def _is_known(self, wanted: Target | PageRequest) -> bool:
        shown, site_id = self._shown[wanted.platform], wanted.site_id or ""
        if wanted.survey_id is None:
            return shown.has_site(site_id)
        return shown.has_survey(site_id, wanted.survey_id)

    def _api_answer(self, request: ReceivedRequest, target: Target) -> Answer:
        if target.path == "token":
            return self._access.token(request)
        if target.path == "user_lookup":
            return self._user_lookup(request)
        if target.path == "login":
            return self._access.login(request)
        if target.path == "download":
            return self._downloads.answer(request)
        if target.path in INSIGHTS_PATHS:
            return self._insights_answer(request, target)
        return Answer(200, self._shown[target.platform].survey_body(target.survey_id or ""))

    def _insights_answer(self, request: ReceivedRequest, target: Target) -> Answer:
        site_id, survey_id = target.site_id or "", target.survey_id or ""
        if target.path == "polls":
            return json_answer(self.account.surveys(site_id, with_questions=False))
        survey = self.account.survey(survey_id)
        if target.path == "questions":
            return json_answer({"questions": survey["questions"]})
        if target.path == "poll":
            return json_answer({"poll": survey})
        numbered = self.account.numbered_responses(survey_id)
        return self._downloads.export(request, survey, numbered, self._settings.export_format)

    def _user_lookup(self, request: ReceivedRequest) -> Answer:
        if unquote(request.path.split("/")[3]) != self.account.organization_id:
            return error_answer(404)
        try:
            lookup = decode_body(request, _UserLookup)
        except BadRequestError as error:
            return error_answer(400, message=str(error))
        if not lookup.data_subject_email and not lookup.data_subject_site_id_to_user_id_map:
            return error_answer(400, message="Give an e-mail address or user ids.")
        self.account.user_lookups.append(decode(request.body))
        del self.account.user_lookups[:-MAX_KEPT_LOOKUPS]
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
        cut = Cut(
            request.cursor.position,
            request.limit,
            paging=self._settings.paging,
            step_back=step_back,
        )
        try:
            if request.survey_id is not None:
                ordered = replace(cut, order=self._settings.order)
                return shown.response_page(request.survey_id, ordered)
            return shown.survey_page(request.site_id, cut, with_questions=request.with_questions)
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


class _UserLookup(msgspec.Struct):
    data_subject_email: str | None = None
    data_subject_site_id_to_user_id_map: dict[str, str] | None = None
    delete_all_hits: bool = False


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
