"""HTTP: sends one request as one account, and again when that may help.

Knows nothing of pages. Answers are bounded in size and time, and nothing is sent twice but what
reads and the token request. Who may receive a request is decided in `recipients`.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, TypeVar
from urllib.parse import urlsplit

import requests
import tenacity
from urllib3.exceptions import HTTPError

from hotjar_assets.api.auth import Auth, Credentials, Login, LoginAnswer
from hotjar_assets.api.bodies import read_body, read_chunks
from hotjar_assets.api.deadlines import Deadline, deadline_after
from hotjar_assets.api.limits import (
    DEFAULT_LIMITS,
    LARGE_BYTES,
    MAX_ANSWER,
    MAX_EXPORT,
    MAX_LOGIN_BYTES,
    Limits,
    large_answers,
)
from hotjar_assets.api.pacing import Pacer
from hotjar_assets.api.recipients import (
    AnySecureHost,
    ForeignOriginError,
    LoginHost,
    OwnHost,
    Recipient,
    RedirectError,
    endpoint_of_login,
)
from hotjar_assets.api.refusals import DOWNLOAD, Advice, error_body, status_error
from hotjar_assets.api.retries import MAX_WAIT_SECONDS, policy
from hotjar_assets.api.secrecy import (
    SentRequest,
    ShownAnswer,
    hidden_in_log,
    redacted,
    secrets_sent,
    shown,
    shown_answer,
    shown_url,
    tokens_in,
)
from hotjar_assets.api.sessions import Sessions
from hotjar_assets.api.targets import join, origin_of, with_query
from hotjar_assets.errors import (
    HotjarApiError,
    HotjarAuthError,
    HotjarBodyError,
    HotjarConfigError,
    HotjarNotFoundError,
    HotjarRateLimitError,
    HotjarSchemaError,
    HotjarStatusError,
    HotjarStoreError,
    HotjarTargetError,
    HotjarTransportError,
)

CONNECT_TIMEOUT_SECONDS = 5.0
READ_TIMEOUT_SECONDS = 30.0
MAX_EXCHANGE_SECONDS = 120.0
"""From connecting to the last byte of an answer."""
MAX_DOWNLOAD_SECONDS = 3600.0
MAX_REDIRECTS = 5
_BEGINNING_BYTES = 4096
_OTHER_LOGIN = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:(?P<markup><)|[A-Za-z_][\w.-]{0,99}=[^\s&]*(?:&\S*)?\s*\Z)"
)
"""An answer to a login that never is the JSON that it should be."""
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
        file: Holds the body where it is long; `body` is its beginning then.
    """

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    cookies: Mapping[str, str] = field(repr=False)
    url: str = field(repr=False)
    file: IO[bytes] | None = field(default=None, repr=False)


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
        on_unusable: Called with the beginning of every answer that is refused or cannot be used. It
            may hold personal data, and is for a person who tries a request alone.
        secrets: What must never be shown, besides what `auth` knows.
        exchange_seconds: How long one request and its answer may take.
        limits: How large answers may be.
        max_wait_seconds: How long a request waits in all where the API says how long to wait.

    Raises:
        HotjarConfigError: The base URL is invalid.
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
        on_unusable: Callable[[ShownAnswer], None] | None = None,
        secrets: tuple[str, ...] = (),
        exchange_seconds: float = MAX_EXCHANGE_SECONDS,
        limits: Limits = DEFAULT_LIMITS,
        max_wait_seconds: float = MAX_WAIT_SECONDS,
    ) -> None:
        self._max_wait_seconds = max_wait_seconds
        self._base_url = base_url.rstrip("/")
        self._auth = auth
        self._advice = advice
        self._pacer = pacer
        self._domain = domain
        self._sleep = sleep
        self._clock = clock
        self._on_answer = on_answer
        self._on_request = on_request
        self._on_unusable = on_unusable
        self._further_secrets = secrets
        self._exchange_seconds = exchange_seconds
        self._limits = limits
        self._sessions = Sessions(use_environment=use_environment)
        self.total = RequestCount()
        self._retries = RequestCount()
        self._under_way: set[Deadline] = set()
        try:
            here = origin_of(base_url)
        except ValueError as error:
            raise HotjarConfigError(advice.url_setting, f"is {error}") from None
        self.download_hosts = AnySecureHost(allows_loopback=here.is_loopback)

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
        follows_elsewhere: bool = False,
        file: IO[bytes] | None = None,
    ) -> ResultT:
        """Return what `read` makes of the answer to a request that changes nothing.

        Args:
            path: Below the base URL; or a URL of the same origin.
            read: Answer to result; a `ValueError` means a malformed body, which is tried again.
            method: GET, or POST where that reads.
            params: Query parameters, in place of those that the path holds already.
            headers: Further headers.
            json_body: JSON body of a POST.
            count: Where to count what is sent, besides the total.
            read_timeout_seconds: How long the server may keep silent.
            follows_elsewhere: Whether a GET may be redirected to `download_hosts`, where nothing
                goes that it carried.
            file: Takes an answer that may be as long as an export, and take as long.

        Raises:
            HotjarStoreError: The file cannot hold it.
            HotjarApiError: As its subclasses say; retryable ones after all tries.
        """
        elsewhere = self.download_hosts if follows_elsewhere else None
        request: dict[str, Any] = {
            "params": params,
            "headers": headers,
            "read_timeout_seconds": read_timeout_seconds,
        }
        if json_body is not None:
            request["json"] = json_body
        if file is not None:
            request["exchange_seconds"] = MAX_DOWNLOAD_SECONDS
        return self._retry(
            lambda: self._authorized(method, path, read, count, elsewhere, file=file, **request)
        )

    def post(self, path: str, *, json_body: dict[str, object]) -> None:
        """Send one POST, never twice after an answer; errors as in `get`, without its retries."""
        self._authorized("POST", path, lambda _answer: None, None, json=json_body)

    def download(
        self,
        url: str,
        file: IO[bytes],
        *,
        most_bytes: int | None = None,
        count: RequestCount | None = None,
    ) -> None:
        """Write what one GET of any host gives to a file; no credentials and no cookies go there.

        Args:
            url: A URL that `download_hosts` allow, as those that it redirects to must be.
            file: Holds the whole body afterwards, from its start.
            most_bytes: The most that is taken; None: what an export may have.
            count: Where to count what is sent, besides the total.

        Raises:
            HotjarTargetError: The URL is not allowed.
            HotjarStoreError: The file cannot hold it.
            HotjarApiError: As its subclasses say; retryable ones after all tries.
        """

        def save(response: requests.Response, deadline: Deadline) -> None:
            if not response.ok:
                raise status_error(response, DOWNLOAD, error_body(response, deadline))
            self._save(response, deadline, file, most_bytes)

        hosts, seconds = self.download_hosts, MAX_DOWNLOAD_SECONDS
        self._retry(lambda: self._send("GET", url, hosts, save, count, exchange_seconds=seconds))

    def _save(
        self,
        response: requests.Response,
        deadline: Deadline,
        file: IO[bytes],
        most_bytes: int | None = None,
    ) -> None:
        """Write a body, and nothing else, to a file; by default as much as an export may have."""
        most = self._limits.export_bytes if most_bytes is None else most_bytes
        setting = MAX_EXPORT, self._limits.export_mb
        chunks = read_chunks(response, most, deadline, setting)
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

    def authenticate(self) -> None:
        """Log in if nobody did; errors as in `get`."""
        self._base_for(self._auth.credentials(self._send_login))

    def cancel(self) -> None:
        """End every exchange that is under way."""
        for deadline in tuple(self._under_way):
            deadline.expire()

    def close(self) -> None:
        """Close the connections of all threads."""
        self._sessions.close()

    def _authorized(
        self,
        method: str,
        path: str,
        read: Callable[[Answer], ResultT],
        count: RequestCount | None,
        elsewhere: AnySecureHost | None = None,
        *,
        file: IO[bytes] | None = None,
        **request: Any,
    ) -> ResultT:
        """Send a request with credentials, and once more with new ones if those were rejected."""

        def answer(credentials: Credentials) -> ResultT:
            base_url = self._base_for(credentials)
            return self._send(
                method,
                join(base_url, path),
                OwnHost(origin_of(base_url), credentials, elsewhere),
                lambda response, deadline: self._read(response, deadline, read, file),
                count,
                **request,
            )

        credentials = self._auth.credentials(self._send_login)
        try:
            return answer(credentials)
        except HotjarAuthError as error:
            is_unauthorized = error.status == requests.codes.unauthorized
            if not is_unauthorized and not self._auth.may_have_expired(credentials):
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
        try:
            return endpoint_of_login(credentials.endpoint, self._base_url, self._domain)
        except ValueError:
            problem = (
                "the login's answer names a base URL that gets no credentials: it is neither https "
                f"on a host under {self._domain}, nor on the host of {self._advice.url_setting}"
            )
            raise HotjarSchemaError("endpoint", problem) from None

    def _send_login(self, login: Login) -> LoginAnswer:
        url = join(self._base_url, login.path)
        place = shown_url(url, self._secrets())
        try:
            return self._retry(
                lambda: self._send(
                    "POST",
                    url,
                    LoginHost(origin_of(url)),
                    lambda response, deadline: self._read_login(response, deadline, login, place),
                    None,
                    data=login.form,
                    json=login.json,
                    headers=login.headers,
                )
            )
        except HotjarNotFoundError as error:
            what = f"no token endpoint here; check {self._advice.url_setting}"
            missing = HotjarStatusError(what, status=error.status)
            raise missing.locate(method="POST", url=place) from None
        except HotjarStatusError as error:
            if error.status not in login.refusals:
                raise
            refusal = HotjarAuthError(
                self._auth.refused, status=error.status, error_code=error.error_code
            )
            raise refusal.locate(method="POST", url=place, request_id=error.request_id) from None

    def _retry(self, attempt: Callable[[], ResultT]) -> ResultT:
        retrying = policy(
            sleep=self._sleep,
            clock=self._clock,
            before_sleep=self._before_retry,
            max_told_seconds=self._max_wait_seconds,
        )

        def attempt_and_leave() -> ResultT:
            try:
                result = attempt()
            except BaseException as error:
                # An error of a decoder holds the whole answer.
                error.__context__ = None
                # Others may go on while this one waits to try again.
                large_answers.leave()
                raise
            large_answers.after_request()
            return result

        try:
            return retrying(attempt_and_leave)
        except HotjarApiError as error:
            tries = retrying.statistics["attempt_number"]
            raise error.locate(tries=error.tries or tries) from None

    @property
    def retries(self) -> int:
        """Attempts so far that repeated one which failed."""
        return self._retries.sent

    def _before_retry(self, state: tenacity.RetryCallState) -> None:
        self._retries.add()
        error = state.outcome and state.outcome.exception()
        if isinstance(error, HotjarRateLimitError):
            self._pacer.hold(state.upcoming_sleep)

    def _send(
        self,
        method: str,
        url: str,
        recipient: Recipient,
        read: Callable[[requests.Response, Deadline], ResultT],
        count: RequestCount | None,
        **request: Any,
    ) -> ResultT:
        carried = recipient.credentials
        params = {**(request.pop("params", None) or {}), **carried.params}
        request["headers"] = {**(request.get("headers") or {}), **carried.headers}
        for _ in range(MAX_REDIRECTS + 1):
            self._pacer.wait()
            for counter in (self.total, count):
                if counter is not None:
                    counter.add()
            with (
                self._located(method, url) as place,
                self._exchange(method, with_query(url, params), recipient, **request) as exchange,
            ):
                response, deadline = exchange
                self._on_answer(response.headers)
                place.request_id = response.headers.get("X-Request-Id", "")
                place.secrets = secrets_sent(response.request)
                if not response.is_redirect:
                    return read(response, deadline)
                url = self._redirected(response, recipient)
                # The target repeats the query if it wants it kept, without our credentials.
                params = dict(carried.params)
                if (following := recipient.after_redirect(url)) is not recipient:
                    # Headers of our own may hold secrets too.
                    recipient, params, request["headers"] = following, {}, {}
        circle = f"more than {MAX_REDIRECTS} redirects in a row"
        with self._located(method, url):
            raise HotjarStatusError(circle, status=requests.codes.found)

    def _redirected(self, response: requests.Response, recipient: Recipient) -> str:
        try:
            return recipient.redirected(response)
        except ForeignOriginError as error:
            what = f"redirected to {error}; check {self._advice.url_setting}"
        except RedirectError as error:
            what = f"{error}; check {self._advice.url_setting}"
        except ValueError as error:
            what = f"redirected to {error}"
        raise HotjarStatusError(what, status=response.status_code)

    def _secrets(self) -> tuple[str, ...]:
        return (*self._further_secrets, *self._auth.secrets())

    @contextmanager
    def _exchange(
        self,
        method: str,
        url: str,
        recipient: Recipient,
        *,
        read_timeout_seconds: float = READ_TIMEOUT_SECONDS,
        exchange_seconds: float | None = None,
        **request: Any,
    ) -> Iterator[tuple[requests.Response, Deadline]]:
        """Send one request, to its recipient and no other; yield the answer, its body unread."""
        try:
            session = self._sessions.get(origin_of(url))
            prepared = session.prepare_request(requests.Request(method, url, **request))
            recipient.check(str(prepared.url))
        except ValueError as error:
            what = f"not sent to {error}; check {self._advice.url_setting}"
            raise HotjarTargetError(what) from None
        secrets = (*self._secrets(), *secrets_sent(prepared))
        if self._on_request is not None:
            # Who has the URL of a download can read it: its query is a credential.
            hides_query = isinstance(recipient, AnySecureHost)
            self._on_request(shown(prepared, secrets, hides_query=hides_query))
        timeout = (CONNECT_TIMEOUT_SECONDS, read_timeout_seconds)
        # A server that may keep silent for longer may take that much longer in all.
        patience = max(0.0, read_timeout_seconds - READ_TIMEOUT_SECONDS)
        seconds = exchange_seconds or self._exchange_seconds + patience
        with hidden_in_log(secrets), deadline_after(seconds) as deadline:
            self._under_way.add(deadline)
            try:
                with session.send(
                    prepared, timeout=timeout, allow_redirects=False, stream=True
                ) as response:
                    yield response, deadline
            except (requests.RequestException, HTTPError):
                deadline.check()
                raise
            finally:
                self._under_way.discard(deadline)

    def _read(
        self,
        response: requests.Response,
        deadline: Deadline,
        read: Callable[[Answer], ResultT],
        file: IO[bytes] | None,
    ) -> ResultT:
        answer = self._answer(response, deadline, file=file)
        try:
            return read(answer)
        except (HotjarApiError, ValueError):
            self._show_unusable(response, answer.body)
            raise

    def _read_login(
        self, response: requests.Response, deadline: Deadline, login: Login, place: str
    ) -> LoginAnswer:
        answer = self._answer(response, deadline, MAX_LOGIN_BYTES)
        if login.needs_json and (other := _OTHER_LOGIN.match(answer.body)):
            self._show_unusable(response, answer.body, tokens_in(answer.body))
            what = "HTML or XML" if other["markup"] else "a form"
            path = urlsplit(place).path
            problem = f"is {what} and not JSON; check the token path {path} and "
            raise HotjarSchemaError("the login's answer", problem + self._advice.url_setting)
        return _read_login(answer, login, place)

    def _show_unusable(
        self, response: requests.Response, body: bytes, tokens: tuple[str, ...] = ()
    ) -> None:
        if self._on_unusable is not None:
            secrets = (*self._secrets(), *secrets_sent(response.request), *tokens)
            self._on_unusable(shown_answer(response, body, secrets))

    def _answer(
        self,
        response: requests.Response,
        deadline: Deadline,
        most_bytes: int | None = None,
        file: IO[bytes] | None = None,
    ) -> Answer:
        if not response.ok:
            refusal = error_body(response, deadline)
            self._show_unusable(response, refusal)
            raise status_error(response, self._advice, refusal, self._max_wait_seconds)
        if file is not None:
            self._save(response, deadline, file)
            is_long = file.tell() > LARGE_BYTES
            file.seek(0)
            body = file.read(_BEGINNING_BYTES if is_long else LARGE_BYTES)
            file = file if is_long else None
        else:
            setting = None if most_bytes else (MAX_ANSWER, self._limits.answer_mb)
            body = read_body(response, most_bytes or self._limits.answer_bytes, deadline, setting)
        self._limits.check_answer(body)
        cookies = {name: value or "" for name, value in response.cookies.get_dict().items()}
        return Answer(response.status_code, body, response.headers, cookies, response.url, file)

    @contextmanager
    def _located(self, method: str, url: str) -> Iterator["_Place"]:
        """Turn what requests and the decoders raise into our errors, and add the place to them.

        Every error of a request leaves through here, and no text of it holds a secret.
        """
        place = _Place()
        located: HotjarApiError
        try:
            yield place
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
        secrets = (*self._secrets(), *place.secrets)
        located.locate(method=method, url=shown_url(url, secrets), request_id=place.request_id)
        try:
            raise located.cover(lambda text: redacted(text, secrets)) from None
        finally:
            # Else the error would hold this frame, and the frame the error and its answer.
            del located


@dataclass
class _Place:
    """What is known of a request once it was answered."""

    request_id: str = ""
    secrets: tuple[str, ...] = ()


def _read_login(answer: Answer, login: Login, place: str) -> LoginAnswer:
    try:
        fields = json.loads(answer.body.decode("utf-8-sig"))
        if not isinstance(fields, dict):
            raise ValueError("an object was expected")  # noqa: TRY004, TRY301 - a malformed body
    except (ValueError, RecursionError):
        if login.needs_json:
            raise
        fields = {}
    return LoginAnswer(fields, answer.cookies, place)
