"""Who may ask the sandbox, and how often: logins, tokens, sessions and the rate limit.

Source: that of `app`. Where it is silent, the sandbox chooses: a 429 carries Retry-After, and
Contentsquare's token answer names the server as `endpoint`.
"""

import math
import secrets
import threading
from collections import deque
from collections.abc import Callable

import msgspec

from hotjar_assets.sandbox.codec import encode
from hotjar_assets.sandbox.faults import PathKind, Platform, Target
from hotjar_assets.sandbox.limits import MAX_TOKENS
from hotjar_assets.sandbox.settings import ServerSettings
from hotjar_assets.sandbox.wire import (
    Answer,
    BadRequestError,
    ReceivedRequest,
    decode_body,
    error_answer,
    json_answer,
    oauth_error,
)

_WINDOW_SECONDS = 60.0
INSIGHTS_PATHS: frozenset[PathKind] = frozenset({"polls", "poll", "questions", "export"})
"""What a session opens, and no token."""


def unauthorized(target: Target) -> Answer:
    """Return the error for a request without what opens the target."""
    if target.platform != "contentsquare":
        return error_answer(401)
    message = "The access token has expired."
    expired = {"success": False, "errorMessage": message, "errorCode": "JWT_EXPIRED"}
    return json_answer(expired, status=401)


class Access:
    """The logins of the account, and what they gave out; safe under threads."""

    def __init__(self, settings: ServerSettings, *, has_project: Callable[[str], bool]) -> None:
        """Let in whom the settings name, to the projects there are."""
        self._settings = settings
        self._has_project = has_project
        self._tokens = _Tokens(settings)
        self._sessions = _Tokens(settings)
        self._rate_limit = _RateLimit(settings)

    def expire(self) -> None:
        """Make every token and session issued so far invalid."""
        self._tokens.expire()
        self._sessions.expire()

    def retry_after_seconds(self) -> int | None:
        """Count a request; return how long to wait if it is one too many."""
        return self._rate_limit.retry_after_seconds()

    def is_authorized(self, request: ReceivedRequest, target: Target) -> bool:
        """Say whether the request carries what opens the target."""
        if target.path in INSIGHTS_PATHS:
            session = request.headers.get("x-acc", "")
            cookies = request.headers.get("cookie", "").split("; ")
            is_named = f"ACC={session}" in cookies or not self._settings.needs_cookies
            return is_named and self._sessions.is_good("hotjar", session)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._tokens.is_good(target.platform, token)

    def token(self, request: ReceivedRequest) -> Answer:
        """Answer a token call, of either platform."""
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
            login = decode_body(request, _ProjectLogin)
        except BadRequestError as error:
            return oauth_error(400, "invalid_request", str(error))
        if login.grant_type != "client_credentials":
            return oauth_error(400, "unsupported_grant_type", "Use client_credentials.")
        if login.scope != "surveys":
            return oauth_error(400, "invalid_scope", "The scope is surveys.")
        credentials = (login.client_id, login.client_secret)
        if credentials != (self._settings.client_id, self._settings.client_secret):
            return oauth_error(401, "invalid_client", "Unknown client, or wrong secret.")
        project_id = login.project_id
        if project_id and not self._has_project(str(project_id)):
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

    def login(self, request: ReceivedRequest) -> Answer:
        """Answer the login of the export."""
        try:
            login = decode_body(request, _Login)
        except BadRequestError as error:
            return error_answer(400, message=str(error))
        credentials = (login.action, login.email, login.password)
        if credentials != ("login", self._settings.email, self._settings.password):
            return error_answer(401)
        cookie = f"ACC={self._sessions.issue('hotjar')}; Path=/; HttpOnly"
        return Answer(200, encode({"success": True}), headers={"Set-Cookie": cookie})


class _ProjectLogin(msgspec.Struct):
    client_id: str
    client_secret: str
    grant_type: str
    scope: str
    project_id: int | None = None


class _Login(msgspec.Struct):
    action: str
    email: str
    password: str
    remember: bool


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
            if len(self._good_until) > MAX_TOKENS:
                del self._good_until[next(iter(self._good_until))]
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
