"""HTTP: one request, its retries, and what each status means.

Knows status codes and nothing of pages. Answers are bounded, redirects are followed on the same
host only (those of a download, which gets no credentials, to any), and nothing is sent twice but
what reads and the token request.
"""

import email.utils
import json
import logging
import math
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import IO, Any, TypeVar
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urljoin, urlsplit

import requests
import tenacity
from tenacity.stop import stop_base
from urllib3.exceptions import HTTPError

from hotjar_assets.api.auth import Auth, Credentials, Login, LoginAnswer
from hotjar_assets.api.pacing import Pacer
from hotjar_assets.config import is_loopback
from hotjar_assets.errors import (
    HotjarApiError,
    HotjarAuthError,
    HotjarBodyError,
    HotjarConfigError,
    HotjarNotFoundError,
    HotjarRateLimitError,
    HotjarSchemaError,
    HotjarServerError,
    HotjarStatusError,
    HotjarStoreError,
    HotjarTransportError,
)

CONNECT_TIMEOUT_SECONDS = 5.0
READ_TIMEOUT_SECONDS = 30.0
MAX_TRIES = 6
MAX_WAIT_SECONDS = 60.0
"""From the first try of a request, no further one begins later than this."""
MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_BODY_SECONDS = 120.0
MAX_DOWNLOAD_BYTES = 2 * 1024**3
MAX_DOWNLOAD_SECONDS = 3600.0
MAX_REDIRECTS = 5
_CHUNK_BYTES = 1024 * 1024
_ERROR_BODY_BYTES = 16 * 1024

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


@dataclass(frozen=True)
class Answer:
    """A successful answer.

    Attributes:
        status: Its status.
        body: Its body.
        headers: Its headers, case-insensitive.
        cookies: The cookies it set.
        url: Where it came from, with the query.
    """

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    cookies: Mapping[str, str] = field(repr=False)
    url: str = field(repr=False)


@dataclass(frozen=True)
class SentRequest:
    """A request as it goes out, with `***` where a secret stands."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str | None


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


class Transport:
    """Send requests to one API as one account, from any number of threads.

    Args:
        base_url: Scheme and host, with a path prefix if there is one.
        auth: Gives and renews the credentials.
        advice: What its refusals mean.
        pacer: Says when a request may go.
        domain: Domain whose hosts a login's answer may name as the base URL of all other requests,
            besides the host of `base_url`.
        sleep: Called with the seconds to wait between tries; may raise to stop waiting.
        clock: Seconds on a clock that never goes backwards.
        use_environment: Whether proxies and certificates come from the environment, as usual with
            requests.
        on_answer: Called with the headers of every answer.
        on_request: Called with every request before it goes out.
        secrets: What must never be shown, besides what `auth` knows.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth: Auth,
        advice: Advice,
        pacer: Pacer,
        domain: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        use_environment: bool = True,
        on_answer: Callable[[Any], None] = lambda _: None,
        on_request: Callable[[SentRequest], None] | None = None,
        secrets: tuple[str, ...] = (),
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._auth = auth
        self._advice = advice
        self._pacer = pacer
        self._domain = domain
        self._sleep = sleep
        self._clock = clock
        self._use_environment = use_environment
        self._on_answer = on_answer
        self._on_request = on_request
        self._further_secrets = secrets
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
        read_timeout_seconds: float = READ_TIMEOUT_SECONDS,
    ) -> ResultT:
        """Return the decoded answer of one GET.

        Args:
            path: Below the base URL.
            decode: Body to result; a `ValueError` means a malformed body, which is tried again.
            params: Query parameters.
            count: Where to count what is sent, besides the total.
            read_timeout_seconds: How long the server may keep silent.

        Raises:
            HotjarApiError: As its subclasses say; retryable ones after all tries.
        """
        return self.read(
            path,
            lambda answer: decode(answer.body),
            params=params,
            count=count,
            read_timeout_seconds=read_timeout_seconds,
        )

    def read(
        self,
        path: str,
        read: Callable[[Answer], ResultT],
        *,
        method: str = "GET",
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        json_body: Mapping[str, object] | None = None,
        count: RequestCount | None = None,
        read_timeout_seconds: float = READ_TIMEOUT_SECONDS,
    ) -> ResultT:
        """Return what `read` makes of the answer to a request that changes nothing.

        Args:
            path: Below the base URL; or a URL, which must be on a host that may see credentials.
            read: Answer to result; a `ValueError` means a malformed body, which is tried again.
            method: GET, or POST where that reads.
            params: Query parameters, in place of those that the path holds already.
            headers: Further headers.
            json_body: JSON body of a POST.
            count: Where to count what is sent, besides the total.
            read_timeout_seconds: How long the server may keep silent.

        Raises:
            HotjarApiError: As its subclasses say; retryable ones after all tries.
        """
        timeout = (CONNECT_TIMEOUT_SECONDS, read_timeout_seconds)
        request: dict[str, Any] = {"params": params, "headers": headers, "timeout": timeout}
        if json_body is not None:
            request["json"] = json_body
        return self._retry(lambda: self._authorized(method, path, read, count, **request))

    def post(self, path: str, *, json_body: dict[str, object]) -> None:
        """Send one POST, never twice after an answer; errors as in `get`, without its retries."""
        self._authorized("POST", path, lambda _answer: None, None, json=json_body)

    def download(
        self,
        url: str,
        file: IO[bytes],
        *,
        most_bytes: int = MAX_DOWNLOAD_BYTES,
        count: RequestCount | None = None,
    ) -> None:
        """Write what one GET of any host gives to a file; no credentials and no cookies go there.

        Args:
            url: An https URL, or one of this machine, and so must be what it redirects to.
            file: Holds the whole body afterwards, from its start.
            most_bytes: The most that is taken.
            count: Where to count what is sent, besides the total.

        Raises:
            HotjarStoreError: The file cannot hold it.
            HotjarApiError: As its subclasses say; retryable ones after all tries.
        """

        def save(response: requests.Response) -> None:
            if not response.ok:
                raise _status_error(response, _DOWNLOAD, self._clock)
            chunks = _chunks(response, most_bytes, MAX_DOWNLOAD_SECONDS, self._clock)
            try:
                file.seek(0)
                file.truncate()
                for chunk in chunks:
                    file.write(chunk)
            except (requests.RequestException, HTTPError):
                raise
            except OSError as error:
                problem = f"the download cannot be kept ({error.strerror}); free some disk space"
                raise HotjarStoreError(problem) from error

        self._retry(lambda: self._send("GET", url, save, count, follow=_secure_target))

    def authenticate(self) -> None:
        """Log in if nobody did; errors as in `get`."""
        self._base_for(self._auth.credentials(self._send_login))

    def close(self) -> None:
        """Close the connections of all threads."""
        for session in self._sessions:
            session.close()

    def _authorized(
        self,
        method: str,
        path: str,
        read: Callable[[Answer], ResultT],
        count: RequestCount | None,
        **request: Any,
    ) -> ResultT:
        """Send a request with credentials, and once more with new ones if those were rejected."""

        def answer(credentials: Credentials) -> ResultT:
            return self._send(
                method,
                _url(self._base_for(credentials), path),
                lambda response: read(self._answer(response)),
                count,
                credentials=credentials,
                **request,
            )

        credentials = self._auth.credentials(self._send_login)
        try:
            return answer(credentials)
        except HotjarAuthError as error:
            if error.status != requests.codes.unauthorized:
                raise
            renewed = self._auth.renew(credentials, self._send_login)
            if renewed is None:
                raise
        return answer(renewed)

    def _base_for(self, credentials: Credentials) -> str:
        """Return the base URL of requests with these credentials.

        Raises:
            HotjarSchemaError: The login's answer named one that must not get them.
        """
        if credentials.endpoint is None:
            return self._base_url
        if not _may_get_credentials(credentials.endpoint, self._base_url, self._domain):
            problem = (
                "the login's answer names a base URL that gets no credentials: it is neither https "
                f"on a host under {self._domain}, nor on the host of {self._advice.url_setting}"
            )
            raise HotjarSchemaError("endpoint", problem)
        return str(credentials.endpoint).rstrip("/")

    def _send_login(self, login: Login) -> LoginAnswer:
        url = _url(self._base_url, login.path)
        try:
            return self._retry(
                lambda: self._send(
                    "POST",
                    url,
                    lambda response: _read_login(self._answer(response), login),
                    None,
                    data=login.form,
                    json=login.json,
                )
            )
        except HotjarNotFoundError as error:
            what = f"no token endpoint here; check {self._advice.url_setting}"
            missing = HotjarStatusError(what, status=error.status)
            raise missing.locate(method="POST", url=url) from None
        except HotjarStatusError as error:
            if error.status not in login.refusals:
                raise
            refusal = HotjarAuthError(
                self._auth.refused, status=error.status, error_code=error.error_code
            )
            raise refusal.locate(method="POST", url=url, request_id=error.request_id) from None

    def _retry(self, attempt: Callable[[], ResultT]) -> ResultT:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(
                # A token request that was given up inside of this attempt had its own tries.
                lambda error: (
                    isinstance(error, HotjarApiError) and error.retryable and not error.tries
                )
            ),
            wait=_wait_seconds,
            stop=tenacity.stop_any(tenacity.stop_after_attempt(MAX_TRIES), _OutOfTime(self._clock)),
            before_sleep=self._hold_everybody,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except HotjarApiError as error:
            tries = retrying.statistics["attempt_number"]
            raise error.locate(tries=error.tries or tries) from None

    def _hold_everybody(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome and state.outcome.exception()
        if isinstance(error, HotjarRateLimitError):
            self._pacer.hold(state.upcoming_sleep)

    def _send(
        self,
        method: str,
        url: str,
        read: Callable[[requests.Response], ResultT],
        count: RequestCount | None,
        *,
        credentials: Credentials | None = None,
        follow: Callable[[requests.Response], str] | None = None,
        **request: Any,
    ) -> ResultT:
        carried = credentials or Credentials()
        params = {**(request.pop("params", None) or {}), **carried.params}
        request["headers"] = {**(request.get("headers") or {}), **carried.headers}
        for _ in range(MAX_REDIRECTS + 1):
            self._pacer.wait()
            for counter in (self.total, count):
                if counter is not None:
                    counter.add()
            asked = _with_query(url, params)
            with self._located(method, url), self._exchange(method, asked, **request) as response:
                self._on_answer(response.headers)
                secrets = (*self._secrets(), _token_sent(response.request))
                request_id = _redacted(response.headers.get("X-Request-Id", ""), secrets)
                with self._located(method, url, request_id):
                    if not response.is_redirect:
                        return read(response)
                    url = follow(response) if follow else _own_target(response, self._advice)
                    # The target repeats the query if it wants it kept, without our credentials.
                    params = dict(carried.params)
        circle = f"more than {MAX_REDIRECTS} redirects in a row"
        with self._located(method, url):
            raise HotjarStatusError(circle, status=requests.codes.found)

    def _secrets(self) -> tuple[str, ...]:
        return (*self._further_secrets, *self._auth.secrets())

    def _exchange(self, method: str, url: str, **request: Any) -> requests.Response:
        session = self._session(url)
        timeout = request.pop("timeout", (CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS))
        prepared = session.prepare_request(requests.Request(method, url, **request))
        if self._on_request is not None:
            self._on_request(_shown(prepared, (*self._secrets(), _token_sent(prepared))))
        with _hidden_in_log(self._secrets()):
            return session.send(prepared, timeout=timeout, allow_redirects=False, stream=True)

    def _session(self, url: str) -> requests.Session:
        """Return this thread's session for a host; requests does not promise that it is shared."""
        sessions: dict[Any, requests.Session] = self._local.__dict__.setdefault("sessions", {})
        host = origin(url)
        session = sessions.get(host)
        if session is None:
            session = sessions[host] = _Session()
            # A login's cookie is read from its answer; none is ever sent by itself.
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
            session.trust_env = self._use_environment
            # Once for a session: looked up anew for every request, as requests does by itself, the
            # environment costs as much as sending it.
            found = session.merge_environment_settings(url, {}, None, None, None)
            session.proxies, session.verify = found["proxies"], found["verify"]
            session.trust_env = False
            # Without an auth of its own, requests would let a ~/.netrc replace the token.
            session.auth = _leave_as_is
            self._sessions.append(session)
        return session

    def _answer(self, response: requests.Response) -> Answer:
        if not response.ok:
            raise _status_error(response, self._advice, self._clock)
        body = _read(response, MAX_BODY_BYTES, self._clock)
        cookies = response.cookies.get_dict()
        return Answer(response.status_code, body, response.headers, cookies, response.url)

    @contextmanager
    def _located(self, method: str, url: str, request_id: str | None = None) -> Iterator[None]:
        """Turn what requests and the decoders raise into our errors, and add the place to them."""
        located: HotjarApiError
        try:
            yield
        except HotjarApiError as error:
            located = error
        except (requests.RequestException, HTTPError) as error:
            # The text of a transport error may hold the query; its type says enough.
            what = f"no complete answer ({type(error).__name__}); check the network and "
            located = HotjarTransportError(what + self._advice.url_setting)
        except OSError as error:
            # Of what requests reads from the disk, only certificates fail in this way.
            raise HotjarConfigError("REQUESTS_CA_BUNDLE", str(error)) from None
        except (ValueError, RecursionError) as error:
            what = "nested too deep" if isinstance(error, RecursionError) else str(error)
            located = HotjarBodyError(f"not the JSON it should be: {what}")
        else:
            return
        path = _redacted(url.partition("?")[0], self._secrets())
        raise located.locate(method=method, url=path, request_id=request_id) from None


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        """Leave redirects to the transport: requests would read their bodies, however large."""
        return None


class _OutOfTime(stop_base):
    """Stops before the wait that would end later than `MAX_WAIT_SECONDS` after the first try."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began_at = clock()

    def __call__(self, retry_state: tenacity.RetryCallState) -> bool:
        passed = max(retry_state.idle_for, self._clock() - self._began_at)
        return passed + retry_state.upcoming_sleep > MAX_WAIT_SECONDS


_hidden: ContextVar[tuple[str, ...] | None] = ContextVar("hidden", default=None)
_QUERY = re.compile(r"\?[^\s\"'>)]*")


class _SecretFilter(logging.Filter):
    """Takes secrets, and the query with its cursors, out of what urllib3 logs of our requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the line."""
        secrets = _hidden.get()
        if secrets is not None:
            line = _QUERY.sub("?…", record.getMessage())
            record.msg, record.args = _redacted(line, secrets), ()
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_SecretFilter())


@contextmanager
def _hidden_in_log(secrets: tuple[str, ...]) -> Iterator[None]:
    token = _hidden.set(secrets)
    try:
        yield
    finally:
        _hidden.reset(token)


def _url(base_url: str, path: str) -> str:
    """Return the URL of a path; of one that is a URL itself, that."""
    return path if "://" in path.partition("?")[0] else base_url + path


def _with_query(url: str, params: Mapping[str, str | int]) -> str:
    """Return the URL with these parameters, in place of those of the same names."""
    if not params:
        return url
    bare, _, query = url.partition("#")[0].partition("?")
    kept = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] not in params]
    return f"{bare}?{urlencode([*kept, *params.items()])}"


def _shown(request: requests.PreparedRequest, secrets: tuple[str, ...]) -> SentRequest:
    body = request.body.decode() if isinstance(request.body, bytes) else request.body
    headers = {
        name: _redacted(str(value), secrets, mask="***") for name, value in request.headers.items()
    }
    url = _redacted(str(request.url), secrets, mask="***")
    shown = None if body is None else _redacted(str(body), secrets, mask="***")
    return SentRequest(str(request.method), url, headers, shown)


def _leave_as_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _read(response: requests.Response, most_bytes: int, clock: Callable[[], float]) -> bytes:
    return b"".join(_chunks(response, most_bytes, MAX_BODY_SECONDS, clock))


def _chunks(
    response: requests.Response, most_bytes: int, most_seconds: float, clock: Callable[[], float]
) -> Iterator[bytes]:
    deadline, size = clock() + most_seconds, 0
    # `iter_content` would wait for a whole chunk, however slowly its bytes come.
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        size += len(chunk)
        if size > most_bytes:
            response.close()
            problem = f"the answer is larger than {most_bytes // 1024 // 1024} MiB"
            raise HotjarSchemaError("body", problem)
        if clock() > deadline:
            response.close()
            problem = f"the answer took longer than {most_seconds:.0f} s"
            raise HotjarTransportError(problem)
        yield chunk


def is_secure(url: str) -> bool:
    """Tell whether a URL is of https, or of this machine."""
    try:
        scheme, host, _ = origin(url)
    except ValueError:
        return False
    return bool(host) and (scheme == "https" or (scheme == "http" and is_loopback(str(host))))


def _redirect_target(response: requests.Response) -> str:
    try:
        target = urljoin(response.url, response.headers["Location"])
        origin(target)
    except ValueError:
        raise HotjarStatusError("redirected to nowhere", status=response.status_code) from None
    return target


def _secure_target(response: requests.Response) -> str:
    target = _redirect_target(response)
    if not is_secure(target):
        what = "the download was redirected to a URL that is not https"
        raise HotjarStatusError(what, status=response.status_code)
    return target


def _own_target(response: requests.Response, advice: Advice) -> str:
    target = _redirect_target(response)
    here, there = origin(response.url), origin(target)
    if here != there:
        scheme, host, port = there
        what = (
            f"redirected to another host ({scheme}://{host}:{port}), which gets no credentials; "
            f"check {advice.url_setting}"
        )
        raise HotjarStatusError(what, status=response.status_code)
    keeps_method = response.status_code in {307, 308}
    if response.request.method != "GET" and not keeps_method:
        raise HotjarStatusError("the redirect would drop the body", status=response.status_code)
    return target


_PLAIN_URL = re.compile(r"https?://[\w.:\[\]-]+(/[\w./~-]*)?", re.ASCII | re.IGNORECASE)


def _may_get_credentials(endpoint: object, base_url: str, domain: str | None) -> bool:
    """Tell whether credentials for `base_url` may go to an endpoint that an answer named."""
    # Whatever else could be read in two ways is refused with the rest.
    if not isinstance(endpoint, str) or not _PLAIN_URL.fullmatch(endpoint):
        return False
    try:
        scheme, host, _ = origin(endpoint)
    except ValueError:
        return False
    here_scheme, here, _ = origin(base_url)
    if host == here:
        return scheme in {"https", here_scheme}
    return scheme == "https" and domain is not None and f".{host}".endswith(f".{domain}")


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port: who gets what is sent to a URL.

    Raises:
        ValueError: It is no URL.
    """
    parts = urlsplit(url)
    default_port = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or default_port


_DOWNLOAD = Advice(
    url_setting="HOTJAR_API_URL",
    pace_setting="HOTJAR_REQUESTS_PER_MINUTE",
    unauthorized="the download was refused; its link may have run out, so sync again",
    forbidden="the download was refused; its link may have run out, so sync again",
    not_found="the download is not there; its link may have run out, so sync again",
)


def _status_error(
    response: requests.Response, advice: Advice, clock: Callable[[], float]
) -> HotjarStatusError:
    status = response.status_code
    kind, what = _meaning(status, advice)
    told = _retry_after_seconds(response.headers)
    if told is not None and told > MAX_WAIT_SECONDS:
        what += f"; it asks to wait {told:.0f} s, which is too long to wait here"
    return kind(
        what,
        status=status,
        error_code=_error_code(response, clock),
        retry_after_seconds=told,
    )


_ERROR_CODES = frozenset(
    {
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
"""Error codes of OAuth 2 (RFC 6749, RFC 6750) and those in use for HTTP statuses."""


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


def _token_sent(request: requests.PreparedRequest) -> str:
    return str(request.headers.get("Authorization", "")).rpartition(" ")[2]


def _redacted(text: str, secrets: tuple[str, ...], *, mask: str = "…") -> str:
    """Return the text without the secrets, however they are escaped."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        in_json = json.dumps(secret)[1:-1]
        for form in {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), in_json}:
            text = text.replace(form, mask)
    return text


def _error_code(response: requests.Response, clock: Callable[[], float]) -> str:
    """Return the `error` of the answer if it is a code we know.

    Its other texts are the server's own words, which may quote a secret or an answer.
    """
    try:
        fields = json.loads(_read(response, _ERROR_BODY_BYTES, clock))
    except (ValueError, RecursionError, HTTPError, HotjarApiError):
        return ""
    code = fields.get("error") if isinstance(fields, dict) else None
    return code if isinstance(code, str) and code in _ERROR_CODES else ""


def _retry_after_seconds(headers: Mapping[str, str]) -> float | None:
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


def _wait_seconds(state: tenacity.RetryCallState) -> float:
    """Wait as long as told, else back off exponentially with full jitter."""
    error = state.outcome and state.outcome.exception()
    told = error.retry_after_seconds if isinstance(error, HotjarStatusError) else None
    # A date that is past, or zero, tells nothing: to ask again at once would use up the tries.
    if told:
        return told
    # A limit counted by the minute takes longer to pass than a hiccup.
    scale = 1.0 if isinstance(error, HotjarRateLimitError) else 0.25
    return random.uniform(0, scale * 2**state.attempt_number)  # noqa: S311 - no secret in it


def _read_login(answer: Answer, login: Login) -> LoginAnswer:
    try:
        fields = json.loads(answer.body.decode("utf-8-sig"))
        if not isinstance(fields, dict):
            raise ValueError("an object was expected")  # noqa: TRY004, TRY301 - a malformed body
    except (ValueError, RecursionError):
        if login.needs_json:
            raise
        fields = {}
    return LoginAnswer(fields, answer.cookies)
