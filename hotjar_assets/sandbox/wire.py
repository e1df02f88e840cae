"""Requests as they come in and answers as they go out: parsing, cursors, error bodies.

No decision about what to answer is made here (see `app`), and no web framework is imported.
"""

import base64
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote

import msgspec

from hotjar_assets.sandbox.codec import encode
from hotjar_assets.sandbox.faults import Platform, Target
from hotjar_assets.sandbox.limits import MAX_KEPT_BYTES, MAX_KEPT_REQUESTS
from hotjar_assets.sandbox.pages import Position

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
REDIRECTED = "sandbox_redirected"
"""A query parameter that marks a request as the end of the sandbox's own redirect."""

_LIMITS = {str(limit): limit for limit in range(1, MAX_LIMIT + 1)}
_BOOLEANS = {"true": True, "false": False}
_ERRORS: dict[int, dict[str, str]] = {
    400: {"error": "invalid_request", "message": "The request is not valid."},
    401: {"error": "invalid_token", "error_description": "The access token is not valid."},
    403: {"error": "forbidden", "message": "Your plan does not include this endpoint."},
    404: {"error": "not_found", "message": "Not found."},
    405: {"error": "method_not_allowed", "message": "Method not allowed."},
    429: {"error": "too_many_requests", "message": "Rate limit exceeded."},
    500: {"error": "internal_server_error", "message": "Something went wrong."},
    502: {"error": "bad_gateway", "message": "Bad gateway."},
    503: {"error": "service_unavailable", "message": "Service unavailable."},
    504: {"error": "gateway_timeout", "message": "Gateway timeout."},
}


BodyT = TypeVar("BodyT")


class BadRequestError(Exception):
    """The request breaks the API's rules; the text says which."""


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as it came in.

    Attributes:
        method: The HTTP method.
        path: The path, still percent-encoded.
        query: The query's parameters, decoded; the last of equal names.
        headers: The headers, names in lower case.
        form: The fields of a form-encoded body.
        body: The body.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    form: dict[str, str]
    body: bytes = field(repr=False)

    @property
    def media_type(self) -> str:
        """The Content-Type without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class RequestLog:
    """The newest requests received, oldest first; may be read from any thread."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._requests: deque[ReceivedRequest] = deque()
        self._body_bytes = 0

    def append(self, request: ReceivedRequest) -> None:
        """Note a request."""
        with self._lock:
            self._requests.append(request)
            self._body_bytes += len(request.body)
            while len(self._requests) > MAX_KEPT_REQUESTS or self._body_bytes > MAX_KEPT_BYTES:
                self._body_bytes -= len(self._requests.popleft().body)

    def all(self) -> list[ReceivedRequest]:
        """Return those received so far."""
        with self._lock:
            return list(self._requests)

    def clear(self) -> None:
        """Forget them."""
        with self._lock:
            self._requests.clear()
            self._body_bytes = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send back.

    Attributes:
        status: The HTTP status.
        body: The whole body.
        content_type: The Content-Type.
        headers: Further headers.
        is_cut: Close the connection half-way through the body.
        is_dropped: Close the connection and send nothing.
    """

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    is_cut: bool = False
    is_dropped: bool = False


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a walk stands. On the wire it is opaque text, padded with "=" as base64url is."""

    listing: str
    page: int
    position: int | tuple[int, int] | None

    def to_text(self) -> str:
        """Return the text that a client hands back."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode()

    @classmethod
    def from_text(cls, text: str, *, listing: str) -> "Cursor":
        """Read what a client hands back.

        Raises:
            BadRequestError: The text is no cursor of this listing.
        """
        try:
            raw = base64.b64decode(text, altchars=b"-_", validate=True)
            cursor = msgspec.json.decode(raw, type=cls)
        except (ValueError, msgspec.MsgspecError):
            cursor = None
        if cursor is None or cursor.listing != listing:
            message = "cursor is not valid"
            raise BadRequestError(message)
        return cursor


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A well-formed request for a page of a listing.

    Attributes:
        platform: Whose API is spoken.
        site_id: The site asked for, or the project.
        survey_id: The survey whose responses are asked for; None for the list of surveys.
        cursor_text: The cursor as it came in.
        cursor: What it says; that of the first page if none came in.
        limit: How many rows at most.
        with_questions: Whether surveys come with their questions.
    """

    platform: Platform
    site_id: str
    survey_id: str | None
    cursor_text: str | None
    cursor: Cursor
    limit: int
    with_questions: bool

    def cursor_after(self, position: Position | None) -> str:
        """Return the cursor of the page after this one, which begins at `position`."""
        return Cursor(self.cursor.listing, self.cursor.page + 1, position).to_text()


def parse_request(scope: Mapping[str, Any], body: bytes) -> ReceivedRequest:
    """Return the request that an ASGI scope and a body make."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    request = ReceivedRequest(
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1"),
        query=_parse_fields(scope["query_string"]),
        headers=headers,
        form={},
        body=body,
    )
    if request.media_type == "application/x-www-form-urlencoded":
        request.form.update(_parse_fields(body))
    return request


def parse_target(request: ReceivedRequest) -> Target:
    """Return what the request asks for, by its path."""
    parts = [unquote(part) for part in request.path.split("/")]
    target = Target("any")
    match parts:
        case ["", "v1", "oauth", "token"]:
            target = Target("token")
        case ["", "v1", "sites", site_id, *below]:
            target = _parse_surveys(site_id, below)
        case ["", "v1", "public", "projects", project_id, *below]:
            target = replace(_parse_surveys(project_id, below), platform="contentsquare")
        case ["", "v1", "organizations", _, "user-lookup"]:
            target = Target("user_lookup")
        case _:
            target = _insights_target(parts)
    return replace(target, is_redirected=REDIRECTED in request.query)


def _parse_surveys(site_id: str, below: list[str]) -> Target:
    match below:
        case ["surveys"]:
            return Target("surveys", site_id)
        case ["surveys", survey_id]:
            return Target("survey", site_id, survey_id)
        case ["surveys", survey_id, "responses"]:
            return Target("responses", site_id, survey_id)
    return Target("any")


def _insights_target(parts: list[str]) -> Target:  # noqa: PLR0911 - one line a path
    match parts:
        case ["", "api", "v2", "users"]:
            return Target("login")
        case ["", "api", "v1", "sites", site_id, "surveys"]:
            return Target("polls", site_id)
        case ["", "api", "v1", "sites", site_id, "polls", survey_id]:
            return Target("poll", site_id, survey_id)
        case ["", "api", "v1", "sites", site_id, "polls", survey_id, "questions"]:
            return Target("questions", site_id, survey_id)
        case ["", "api", "ask", "v3", "sites", site_id, "polls", survey_id, "responses", "export"]:
            return Target("export", site_id, survey_id)
        case ["", "exports", _]:
            return Target("download")
    return Target("any")


def parse_page_request(request: ReceivedRequest, target: Target) -> PageRequest:
    """Return what page a request for a listing asks for.

    Raises:
        BadRequestError: A parameter is not valid.
    """
    limit = _LIMITS.get(request.query.get("limit", str(DEFAULT_LIMIT)))
    if limit is None:
        message = f"limit must be between 1 and {MAX_LIMIT}"
        raise BadRequestError(message)
    with_questions = _BOOLEANS.get(request.query.get("with_questions", "false"))
    if with_questions is None:
        message = "with_questions must be true or false"
        raise BadRequestError(message)
    listing = f"{target.path}/{target.survey_id or target.site_id}"
    cursor_text = request.query.get("cursor")
    cursor = (
        Cursor(listing, 1, None)
        if cursor_text is None
        else Cursor.from_text(cursor_text, listing=listing)
    )
    return PageRequest(
        platform=target.platform,
        site_id=target.site_id or "",
        survey_id=target.survey_id,
        cursor_text=cursor_text,
        cursor=cursor,
        limit=limit,
        with_questions=with_questions,
    )


def decode_body(request: ReceivedRequest, kind: type[BodyT]) -> BodyT:
    """Return what the JSON body of a request says.

    Raises:
        BadRequestError: It is not sent as JSON, or is not what it should be.
    """
    if request.media_type != "application/json":
        raise BadRequestError("The body must be JSON.")
    try:
        return msgspec.json.decode(request.body, type=kind)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise BadRequestError(str(error)) from None


def json_answer(value: object, *, status: int = 200) -> Answer:
    """Return a JSON answer."""
    return Answer(status, encode(value))


def error_answer(
    status: int, *, message: str | None = None, retry_after: int | str | None = None
) -> Answer:
    """Return an error in the API's words."""
    body = dict(_ERRORS[status])
    if message is not None:
        body["message"] = message
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Answer(status, encode(body), headers=headers)


def oauth_error(status: int, error: str, description: str) -> Answer:
    """Return an error of the token endpoint."""
    return json_answer({"error": error, "error_description": description}, status=status)


def envelope(rows: list[bytes], next_cursor: str | None) -> bytes:
    """Return the body of a page."""
    return b'{"results":[' + b",".join(rows) + b'],"next_cursor":' + encode(next_cursor) + b"}"


def _parse_fields(raw: bytes) -> dict[str, str]:
    return dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True))
