"""HTTP: one request, its retries, and what each status means.

Knows status codes and nothing of pages. Answers are bounded, redirects are followed on the same
host only, and nothing but GET and the token request is sent twice.
"""

import email.utils
import json
import math
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import tenacity
from tenacity.stop import stop_base

from hotjar_assets.api.auth import ClientCredentials, TokenRequest
from hotjar_assets.api.pacing import Pacer
from hotjar_assets.errors import (
    HotjarApiError,
    HotjarAuthError,
    HotjarBodyError,
    HotjarNotFoundError,
    HotjarRateLimitError,
    HotjarSchemaError,
    HotjarServerError,
    HotjarStatusError,
    HotjarTransportError,
)

CONNECT_TIMEOUT_SECONDS = 5.0
READ_TIMEOUT_SECONDS = 30.0
MAX_TRIES = 6
MAX_WAIT_SECONDS = 60.0
"""Waiting between the tries of one request, in all."""
MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_BODY_SECONDS = 120.0
MAX_REDIRECTS = 5
_CHUNK_BYTES = 1024 * 1024
_ERROR_BODY_BYTES = 16 * 1024
_EXCERPT_CHARACTERS = 200

ResultT = TypeVar("ResultT")


@dataclass
class RequestCount:
    """Requests sent for one purpose, retries and redirects included; safe under threads."""

    sent: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self) -> None:
        """Count one more."""
        with self._lock:
            self.sent += 1


class Transport:
    """Send requests to one API as one account, from any number of threads.

    Args:
        base_url: Scheme and host, with a path prefix if there is one.
        auth: Gives and renews the token.
        pacer: Says when a request may go.
        sleep: Called with the seconds to wait between tries; may raise to stop waiting.
        use_environment: Whether proxies and certificates come from the environment, as usual with
            requests.
        on_answer: Called with the headers of every answer.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth: ClientCredentials,
        pacer: Pacer,
        sleep: Callable[[float], None] = time.sleep,
        use_environment: bool = True,
        on_answer: Callable[[Any], None] = lambda _: None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._auth = auth
        self._pacer = pacer
        self._sleep = sleep
        self._use_environment = use_environment
        self._on_answer = on_answer
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self.total = RequestCount()

    def get(
        self,
        path: str,
        *,
        decode: Callable[[bytes], ResultT],
        params: dict[str, str | int] | None = None,
        count: RequestCount | None = None,
    ) -> ResultT:
        """Return the decoded answer of one GET.

        Args:
            path: Below the base URL.
            decode: Body to result; a `ValueError` means a malformed body, which is tried again.
            params: Query parameters.
            count: Where to count what is sent, besides the total.

        Raises:
            HotjarApiError: As its subclasses say; retryable ones after all tries.
        """
        url = self._base_url + path

        def attempt() -> ResultT:
            def answer(token: str) -> ResultT:
                headers = {"Authorization": f"Bearer {token}"}
                return self._send("GET", url, decode, count, headers=headers, params=params)

            token = self._auth.token(self._send_token_request)
            try:
                return answer(token)
            except HotjarAuthError as error:
                if error.status != requests.codes.unauthorized:
                    raise
            return answer(self._auth.renew(token, self._send_token_request))

        return self._retry(attempt)

    def authenticate(self) -> None:
        """Get a token if there is none; errors as in `get`."""
        self._auth.token(self._send_token_request)

    def close(self) -> None:
        """Close the connections of all threads."""
        for session in self._sessions:
            session.close()

    def _send_token_request(self, request: TokenRequest) -> dict[str, Any]:
        url = self._base_url + request.path
        try:
            return self._retry(
                lambda: self._send("POST", url, _decode_object, None, data=request.form)
            )
        except HotjarStatusError as error:
            if error.status not in {400, 401, 403}:
                raise
            what = (
                "the API key was refused: the client id or secret is wrong, or the key has expired "
                "(keys live one year and cannot be extended; make a new one in Hotjar's settings)"
            )
            refusal = HotjarAuthError(what, status=error.status, body_excerpt=error.body_excerpt)
            raise refusal.locate(method="POST", url=url, request_id=error.request_id) from None

    def _retry(self, attempt: Callable[[], ResultT]) -> ResultT:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(
                lambda error: isinstance(error, HotjarApiError) and error.retryable
            ),
            wait=_wait_seconds,
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(MAX_TRIES),
                _WaitsTooLong(),
                tenacity.stop_after_delay(MAX_WAIT_SECONDS),
            ),
            before_sleep=self._hold_everybody,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except HotjarApiError as error:
            tries = retrying.statistics["attempt_number"]
            raise error.locate(tries=tries) from None

    def _hold_everybody(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome and state.outcome.exception()
        if isinstance(error, HotjarRateLimitError):
            self._pacer.hold(state.upcoming_sleep)

    def _send(
        self,
        method: str,
        url: str,
        decode: Callable[[bytes], ResultT],
        count: RequestCount | None,
        **request: Any,
    ) -> ResultT:
        for _ in range(MAX_REDIRECTS + 1):
            self._pacer.wait()
            for counter in (self.total, count):
                if counter is not None:
                    counter.add()
            with _located(method, url), self._exchange(method, url, **request) as response:
                self._on_answer(response.headers)
                with _located(method, url, response.headers.get("X-Request-Id")):
                    if not response.is_redirect:
                        return decode(self._body(response))
                    url = _redirect_target(response, method)
                    # The target repeats the query if it wants it kept.
                    request.pop("params", None)
        circle = f"more than {MAX_REDIRECTS} redirects in a row"
        raise HotjarStatusError(circle, status=requests.codes.found).locate(method=method, url=url)

    def _exchange(self, method: str, url: str, **request: Any) -> requests.Response:
        return self._session().request(
            method,
            url,
            timeout=(CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS),
            allow_redirects=False,
            stream=True,
            **request,
        )

    def _session(self) -> requests.Session:
        """Return this thread's session; requests does not promise that one can be shared."""
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.trust_env = self._use_environment
            # Without an auth of its own, requests would let a ~/.netrc replace the token.
            session.auth = _leave_as_is
            self._sessions.append(session)
        return session

    def _body(self, response: requests.Response) -> bytes:
        if response.ok:
            return _read(response, MAX_BODY_BYTES)
        raise _status_error(response, self._auth.secrets())


class _WaitsTooLong(stop_base):
    """Stops before the wait that would exceed `MAX_WAIT_SECONDS` in all."""

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        return retry_state.idle_for + retry_state.upcoming_sleep > MAX_WAIT_SECONDS


def _leave_as_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


@contextmanager
def _located(method: str, url: str, request_id: str | None = None) -> Iterator[None]:
    """Turn what requests and the decoders raise into our errors, and add the place to them."""
    located: HotjarApiError
    try:
        yield
    except HotjarApiError as error:
        located = error
    except requests.RequestException as error:
        # The text of a transport error may hold the query; its type says enough.
        located = HotjarTransportError(f"no complete answer ({type(error).__name__})")
    except (ValueError, RecursionError) as error:
        what = "nested too deep" if isinstance(error, RecursionError) else str(error)
        located = HotjarBodyError(f"not the JSON it should be: {what}")
    else:
        return
    path = url.partition("?")[0]
    raise located.locate(method=method, url=path, request_id=request_id) from None


def _read(response: requests.Response, most_bytes: int) -> bytes:
    deadline, body = time.monotonic() + MAX_BODY_SECONDS, bytearray()
    for chunk in response.iter_content(_CHUNK_BYTES):
        body += chunk
        if len(body) > most_bytes:
            response.close()
            problem = f"the answer is larger than {most_bytes // 1024 // 1024} MiB"
            raise HotjarSchemaError("body", problem)
        if time.monotonic() > deadline:
            response.close()
            problem = f"the answer took longer than {MAX_BODY_SECONDS:.0f} s"
            raise HotjarTransportError(problem)
    return bytes(body)


def _redirect_target(response: requests.Response, method: str) -> str:
    target = urljoin(response.url, response.headers["Location"])
    here, there = urlsplit(response.url), urlsplit(target)
    if (here.scheme, here.netloc) != (there.scheme, there.netloc):
        what = f"redirected to another host ({there.netloc}), which gets no credentials"
        raise HotjarStatusError(what, status=response.status_code)
    keeps_method = response.status_code in {307, 308}
    if method != "GET" and not keeps_method:
        raise HotjarStatusError("the redirect would drop the body", status=response.status_code)
    return target


def _status_error(response: requests.Response, secrets: tuple[str, ...]) -> HotjarStatusError:
    status = response.status_code
    kind, what = _STATUSES.get(
        status,
        (HotjarServerError, "the API failed")
        if status >= requests.codes.server_error
        else (HotjarStatusError, "the API refused the request"),
    )
    return kind(
        what,
        status=status,
        body_excerpt=_excerpt(response, secrets),
        retry_after_seconds=_retry_after_seconds(response.headers.get("Retry-After")),
    )


_NOT_ALLOWED = (
    "not allowed: survey export needs the Ask Scale plan, and the API key must belong to the "
    "organization of the site"
)
_STATUSES: dict[int, tuple[type[HotjarStatusError], str]] = {
    400: (HotjarStatusError, "the API did not understand the request"),
    401: (HotjarAuthError, "the API rejected two tokens in a row; check the API key in Hotjar"),
    403: (HotjarAuthError, _NOT_ALLOWED),
    404: (HotjarNotFoundError, "not found: Hotjar has no such site or survey"),
    408: (HotjarServerError, "the API timed out"),
    429: (HotjarRateLimitError, "too many requests; lower HOTJAR_REQUESTS_PER_MINUTE"),
}


def _excerpt(response: requests.Response, secrets: tuple[str, ...]) -> str:
    """Return the documented error fields on one line, without secrets."""
    try:
        fields = json.loads(_read(response, _ERROR_BODY_BYTES))
    except (ValueError, RecursionError, requests.RequestException, HotjarApiError):
        return ""
    if not isinstance(fields, dict):
        return ""
    texts = [fields.get(name) for name in ("error", "error_description", "message")]
    excerpt = "; ".join(text for text in texts if isinstance(text, str))
    for secret in secrets:
        excerpt = excerpt.replace(secret, "…")
    return re.sub(r"\s+", " ", excerpt)[:_EXCERPT_CHARACTERS]


def _retry_after_seconds(value: str | None) -> float | None:
    """Read `Retry-After` in both of its forms, seconds and HTTP date."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = email.utils.parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = moment.timestamp() - time.time()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _wait_seconds(state: tenacity.RetryCallState) -> float:
    """Wait as long as told, else back off exponentially with full jitter."""
    error = state.outcome and state.outcome.exception()
    told = error.retry_after_seconds if isinstance(error, HotjarStatusError) else None
    if told is not None:
        return told
    # A limit counted by the minute takes longer to pass than a hiccup.
    scale = 1.0 if isinstance(error, HotjarRateLimitError) else 0.25
    return random.uniform(0, scale * 2**state.attempt_number)  # noqa: S311 - no secret in it


def _decode_object(body: bytes) -> dict[str, Any]:
    answer = json.loads(body.decode("utf-8-sig"))
    if not isinstance(answer, dict):
        raise ValueError("an object was expected")  # noqa: TRY004 - a malformed body
    return answer
