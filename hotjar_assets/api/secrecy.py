"""Nothing secret in what is shown: logs, errors, and the requests that a preview prints."""

import base64
import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from traceback import format_exception
from urllib.parse import urlsplit

import requests

_SHORT = 4
"""A shorter secret is covered only where it is a word: it would hide letters of everything else."""
_MIN_BASE64 = 8
_BACKSLASH = "\\"
_ESCAPES = 32
"""Backslashes before a character; a bound, so that no text makes the search slow."""


@dataclass(frozen=True)
class SentRequest:
    """A request as it goes out, with `***` where a secret stands."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str | None


@dataclass(frozen=True)
class ShownAnswer:
    """The beginning of an answer, with `***` where a secret stands."""

    status: int
    headers: Mapping[str, str]
    begin: str


_SHOWN_CHARACTERS = 1000
_SHOWN_HEADERS = re.compile(
    r"content-type|retry-after|www-authenticate|x-request-id|(?:x-)?ratelimit-.*", re.IGNORECASE
)


def shown_answer(response: requests.Response, body: bytes, secrets: tuple[str, ...]) -> ShownAnswer:
    """Return an answer as it may be shown to a person who tries a request."""
    headers = {
        name: redacted(value, secrets, mask="***")
        for name, value in response.headers.items()
        if _SHOWN_HEADERS.fullmatch(name)
    }
    # Covered before it is cut: a part of a secret would not be known.
    text = redacted(body[: 16 * _SHOWN_CHARACTERS].decode("utf-8", "replace"), secrets, mask="***")
    begin = text[:_SHOWN_CHARACTERS] + ("…" if len(text) > _SHOWN_CHARACTERS else "")
    return ShownAnswer(response.status_code, headers, begin)


def shown(
    request: requests.PreparedRequest, secrets: tuple[str, ...], *, hides_query: bool = False
) -> SentRequest:
    """Return a request as it may be shown."""
    body = request.body.decode() if isinstance(request.body, bytes) else request.body
    headers = {
        name: redacted(str(value), secrets, mask="***") for name, value in request.headers.items()
    }
    bare, question_mark, _ = str(request.url).partition("?")
    url = f"{bare}?***" if hides_query and question_mark else str(request.url)
    url = redacted(url, secrets, mask="***")
    shown = None if body is None else redacted(str(body), secrets, mask="***")
    return SentRequest(str(request.method), url, headers, shown)


def shown_url(url: str, secrets: tuple[str, ...]) -> str:
    """Return a URL as it may be shown: without user info, query, fragment and secrets."""
    bare = re.split(r"[?#]", url, maxsplit=1)[0]
    try:
        bare = bare.replace(f"{urlsplit(bare).netloc.rpartition('@')[0]}@", "", 1)
    except ValueError:
        # An invalid URL: what stands before the path is not shown.
        bare = "…"
    return redacted(bare, secrets)


def secrets_sent(request: requests.PreparedRequest) -> tuple[str, ...]:
    """Return what a request proves who asks with: its token, without the scheme, and cookies.

    Another thread may have replaced them since then.
    """
    token = str(request.headers.get("Authorization", "")).rpartition(" ")[2]
    cookies = str(request.headers.get("Cookie", "")).split("; ")
    return (token, *(cookie.partition("=")[2] for cookie in cookies))


def tokens_in(body: bytes) -> tuple[str, ...]:
    """Return what may be tokens in a form, or in XML, that a login was answered."""
    text = body[: 16 * _SHOWN_CHARACTERS].decode("utf-8", "replace")
    pattern = r"token>\s*([^\s<]+)" if text.lstrip("\ufeff \t\r\n")[:1] == "<" else r"=([^\s&]+)"
    return tuple(dict.fromkeys(re.findall(pattern, text, re.IGNORECASE)))


def redacted(text: str, secrets: tuple[str, ...], *, mask: str = "…") -> str:
    """Return the text without the secrets, however they are escaped.

    Covered are percent-encoding in either case and any number of times, the escapes of JSON and
    of Python, and base64 at any offset.
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = _every_form(secret).sub(mask, text)
    return text


@lru_cache(maxsize=256)
def _every_form(secret: str) -> re.Pattern[str]:
    # Escapes double backslashes, so that their number tells nothing.
    plain = "".join(map(_every_escape, re.sub(r"\\+", r"\\", secret)))
    if secret.endswith(_BACKSLASH):
        plain += rf"\\{{0,{_ESCAPES}}}"
    if len(secret) < _SHORT:
        return re.compile(rf"(?<![^\W_]){plain}(?![^\W_])")
    return re.compile("|".join([plain, *map(re.escape, _in_base64(secret))]))


def _every_escape(character: str) -> str:
    """Return a pattern of one character: escaped in any way, or itself."""
    percent = "".join(
        f"%(?:25){{0,8}}{_any_case(f'{byte:02x}')}"
        for byte in character.encode("utf-8", "surrogatepass")
    )
    units = character.encode("utf-16-be", "surrogatepass").hex()
    in_json = rf"\\{{1,{_ESCAPES}}}".join(
        f"u{_any_case(units[start : start + 4])}" for start in range(0, len(units), 4)
    )
    code = f"{ord(character):x}"
    in_python = f"x{_any_case(code.zfill(2))}|U{_any_case(code.zfill(8))}"
    # The letter of a short escape: n of a line break.
    short = re.escape(json.dumps(character)[-2]) if character in "\n\r\t\b\f" else r"(?!)"
    escaped = rf"\\{{1,{_ESCAPES}}}(?:{in_json}|{in_python}|{short})"
    if character == _BACKSLASH:
        # What doubles it belongs to the next character, so that a run is read in one way only.
        return rf"(?:{escaped}|{percent}|\\)"
    blank = r"|\+" if character == " " else ""
    return rf"(?:{escaped}|\\{{0,{_ESCAPES}}}(?:{percent}|{re.escape(character)}{blank}))"


def _any_case(text: str) -> str:
    return "".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in text)


def _in_base64(secret: str) -> set[str]:
    """Return what of the base64 of any text that contains the secret depends on it alone."""
    data = secret.encode("utf-8", "surrogatepass")
    found = set()
    for offset in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(bytes(offset) + data).decode()
            found.add(text[(offset * 8 + 5) // 6 : (offset + len(data)) * 8 // 6])
    return {text for text in found if len(text) >= _MIN_BASE64}


# --- Logs --------------------------------------------------------------------------------------

_hidden: ContextVar[tuple[str, ...] | None] = ContextVar("hidden", default=None)
_QUERY = re.compile(r"\?[^\s\"'>)]*")
_LIBRARIES = ("urllib3", "requests")


class _SecretFilter(logging.Filter):
    """Takes secrets, and the query with its cursors, out of what libraries log of our requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record."""
        secrets = _hidden.get()
        if secrets is not None:
            record.msg, record.args = _covered(record.getMessage(), secrets), ()
            if record.exc_info:
                record.exc_text = "".join(format_exception(record.exc_info[1])).rstrip("\n")
                record.exc_info = None
            record.exc_text = record.exc_text and _covered(record.exc_text, secrets)
            record.stack_info = record.stack_info and _covered(record.stack_info, secrets)
        return True


def _covered(text: str, secrets: tuple[str, ...]) -> str:
    return redacted(_QUERY.sub("?…", text), secrets)


_filter = _SecretFilter()
_filtered: set[str] = set()


def _filter_loggers() -> None:
    """Filter every logger of the libraries: one's filter sees no record of those below it."""
    for name in logging.root.manager.loggerDict.keys() - _filtered:
        _filtered.add(name)
        if name.partition(".")[0] in _LIBRARIES:
            logging.getLogger(name).addFilter(_filter)


@contextmanager
def hidden_in_log(secrets: tuple[str, ...]) -> Iterator[None]:
    """Keep secrets and queries out of the libraries' logs inside the block."""
    _filter_loggers()
    token = _hidden.set(secrets)
    try:
        yield
    finally:
        _hidden.reset(token)
