"""Nothing secret in what is shown: logs, errors, and the requests that a trial prints."""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

import requests


@dataclass(frozen=True)
class SentRequest:
    """A request as it goes out, with `***` where a secret stands."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str | None


def shown(request: requests.PreparedRequest, secrets: tuple[str, ...]) -> SentRequest:
    """Return a request as it may be shown."""
    body = request.body.decode() if isinstance(request.body, bytes) else request.body
    headers = {
        name: redacted(str(value), secrets, mask="***") for name, value in request.headers.items()
    }
    url = redacted(str(request.url), secrets, mask="***")
    shown = None if body is None else redacted(str(body), secrets, mask="***")
    return SentRequest(str(request.method), url, headers, shown)


def token_sent(request: requests.PreparedRequest) -> str:
    """Return what a request carries as its authorization, without the scheme."""
    return str(request.headers.get("Authorization", "")).rpartition(" ")[2]


def redacted(text: str, secrets: tuple[str, ...], *, mask: str = "…") -> str:
    """Return the text without the secrets, however they are escaped."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        in_json = json.dumps(secret)[1:-1]
        for form in {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), in_json}:
            text = text.replace(form, mask)
    return text


_hidden: ContextVar[tuple[str, ...] | None] = ContextVar("hidden", default=None)
_QUERY = re.compile(r"\?[^\s\"'>)]*")


class _SecretFilter(logging.Filter):
    """Takes secrets, and the query with its cursors, out of what urllib3 logs of our requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the line."""
        secrets = _hidden.get()
        if secrets is not None:
            line = _QUERY.sub("?…", record.getMessage())
            record.msg, record.args = redacted(line, secrets), ()
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_SecretFilter())


@contextmanager
def hidden_in_log(secrets: tuple[str, ...]) -> Iterator[None]:
    """Keep secrets and queries out of urllib3's log meanwhile."""
    token = _hidden.set(secrets)
    try:
        yield
    finally:
        _hidden.reset(token)
