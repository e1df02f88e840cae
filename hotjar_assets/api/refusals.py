"""What the statuses of refusals mean, and when to ask again."""

import email.utils
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import requests
from urllib3.exceptions import HTTPError

from hotjar_assets.api.bodies import read_body
from hotjar_assets.api.deadlines import Deadline
from hotjar_assets.api.retries import MAX_WAIT_SECONDS
from hotjar_assets.errors import (
    HotjarApiError,
    HotjarAuthError,
    HotjarNotFoundError,
    HotjarRateLimitError,
    HotjarServerError,
    HotjarStatusError,
)

_ERROR_BODY_BYTES = 16 * 1024


@dataclass(frozen=True)
class Advice:
    """What the refusals of one API mean, and which settings they have to do with.

    Attributes:
        url_setting: Setting of its base URL.
        pace_setting: Setting of the requests per minute.
        unauthorized: What a second 401 means.
        forbidden: What a 403 means.
        not_found: What a 404 means.
    """

    url_setting: str
    pace_setting: str
    unauthorized: str
    forbidden: str
    not_found: str


DOWNLOAD = Advice(
    url_setting="HOTJAR_API_URL",
    pace_setting="HOTJAR_REQUESTS_PER_MINUTE",
    unauthorized="the download was refused; its link may have run out, so sync again",
    forbidden="the download was refused; its link may have run out, so sync again",
    not_found="the download is not there; its link may have run out, so sync again",
)


def status_error(
    response: requests.Response,
    advice: Advice,
    body: bytes,
    max_wait_seconds: float = MAX_WAIT_SECONDS,
) -> HotjarStatusError:
    """Return the error that an answer's status stands for."""
    status = response.status_code
    kind, what = _meaning(status, advice)
    told = retry_after_seconds(response.headers)
    if told is not None and told > max_wait_seconds:
        what += f"; it asks to wait {told:.0f} s, which is too long to wait here"
    return kind(
        what,
        status=status,
        error_code=_error_code(body),
        retry_after_seconds=told,
    )


_ERROR_CODES = frozenset(
    {
        "JWT_EXPIRED",
        "access_denied",
        "forbidden",
        "insufficient_scope",
        "internal_error",
        "invalid_client",
        "invalid_grant",
        "invalid_parameter",
        "invalid_request",
        "invalid_scope",
        "invalid_token",
        "not_found",
        "rate_limit_exceeded",
        "server_error",
        "temporarily_unavailable",
        "too_many_requests",
        "unauthorized",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)
"""Error codes of OAuth 2 (RFC 6749, RFC 6750), of Contentsquare, and those in use for statuses."""


def _meaning(status: int, advice: Advice) -> tuple[type[HotjarStatusError], str]:
    known: dict[int, tuple[type[HotjarStatusError], str]] = {
        400: (HotjarStatusError, "the API did not understand the request"),
        401: (HotjarAuthError, advice.unauthorized),
        403: (HotjarAuthError, advice.forbidden),
        404: (HotjarNotFoundError, advice.not_found),
        408: (HotjarServerError, "the API timed out; try again later"),
        429: (HotjarRateLimitError, f"too many requests; lower {advice.pace_setting}"),
    }
    if status in known:
        return known[status]
    if status >= requests.codes.server_error:
        return HotjarServerError, "the API failed; try again later"
    return HotjarStatusError, "the API refused the request"


def error_body(response: requests.Response, deadline: Deadline) -> bytes:
    """Return the body of a refusal; nothing if it is long or cannot be read."""
    try:
        return read_body(response, _ERROR_BODY_BYTES, deadline)
    except (HTTPError, HotjarApiError):
        return b""


def _error_code(body: bytes) -> str:
    """Return the `error`, or Contentsquare's `errorCode`, of the answer if it is a code we know.

    Its other texts are the server's own words, which may quote a secret or an answer.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(fields, dict):
        return ""
    codes = (fields.get(name) for name in ("error", "errorCode"))
    return next((code for code in codes if isinstance(code, str) and code in _ERROR_CODES), "")


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Read `Retry-After` in both of its forms, seconds and HTTP date."""
    value = headers.get("Retry-After", "")
    try:
        seconds = float(value)
    except ValueError:
        moment = _timestamp(value)
        if moment is None:
            return None
        # Both dates are the server's, so that a wrong clock on either side does no harm.
        seconds = moment - (_timestamp(headers.get("Date", "")) or time.time())
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _timestamp(http_date: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(http_date).timestamp()
    except (ValueError, OverflowError):
        return None
