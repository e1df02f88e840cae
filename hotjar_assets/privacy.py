"""What personal data becomes before it touches the disk: `HOTJAR_PII=keep|hash|drop`.

Personal are `hotjar_user_id`, `recording_url`, the values of `user_attributes`, answers and
comments that are e-mail addresses, and any field we do not know (`extra`). Of `response_origin_url`
the query, the fragment, a user name before the host, and parts of the path that are e-mail
addresses are personal. Answers in people's own words are what surveys are for, and are kept; so are
tags, device, browser, operating system, country and window size.

`hash` is HMAC-SHA-256 under `HOTJAR_PII_KEY`: stable, so that rows of one person still join, and of
no use to whoever has the table but not the key.
"""

import hmac
import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from hotjar_assets.api.records import Response
from hotjar_assets.config import PiiMode, Settings

_HASH_PREFIX = "hmac:"
_HASHED = re.compile(re.escape(_HASH_PREFIX) + "[0-9a-f]{64}")
_WORD = re.compile(r"\S+")
_MAX_EMAIL_LENGTH = 320
"""RFC 3696: 64 characters, the @, and 255 more."""
_COVER = "[e-mail address]"
_USER_OF_URL = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*:)?//[^/?#]*@")

RULES = "2"
"""Which values are personal, as a number that a database notes: 1 kept `recording_url`."""


@dataclass(frozen=True)
class Privacy:
    """Applies one mode to responses.

    Attributes:
        mode: What is stored of personal values.
        key: Key of the hash; only needed for `HASH`.
    """

    mode: PiiMode = PiiMode.KEEP
    key: bytes = field(default=b"", repr=False)

    @classmethod
    def from_settings(cls, settings: Settings) -> "Privacy":
        """Take mode and key from the settings."""
        return cls(settings.pii, (settings.pii_key or "").encode())

    @property
    def fingerprint(self) -> str:
        """What a database notes of the key, to recognize another one without revealing it."""
        return self.hash("hotjar_assets key fingerprint") if self.mode is PiiMode.HASH else ""

    def hash(self, text: str) -> str:
        """Hash one value; an e-mail address regardless of case and surrounding blanks."""
        text = text.strip().lower() if is_email(text) else text
        digest = hmac.new(self.key, text.encode("utf-8", "surrogatepass"), "sha256").hexdigest()
        return _HASH_PREFIX + digest

    def apply(self, response: Response, email_questions: Collection[str] = ()) -> None:
        """Replace the personal values of a response, in place.

        Args:
            response: The response.
            email_questions: Ids of the questions that ask for an e-mail address; an answer that is
                one counts whatever its question.
        """
        if self.mode is PiiMode.KEEP:
            return
        response.hotjar_user_id = self.value(response.hotjar_user_id)
        response.recording_url = self.value(response.recording_url)
        response.response_origin_url = self.url(response.response_origin_url)
        for attribute in response.user_attributes or ():
            attribute.value = self.value(attribute.value)
        for answer in response.answers or ():
            answer.answer = self.answer(answer.answer, answer.question_id, email_questions)
            answer.comment = self.answer(answer.comment, None, ())
        if response.extra:
            response.extra = self.unknown(response.extra)

    def value(self, value: Any) -> str | None:
        """Replace one personal value; nothing is made of a null, nor twice of the same."""
        if value is None or self.mode is PiiMode.DROP:
            return None
        if isinstance(value, str):
            return value if _HASHED.fullmatch(value) else self.hash(value)
        return self.hash(json.dumps(value, sort_keys=True))

    def answer(self, answer: Any, question_id: Any, email_questions: Collection[str]) -> Any:
        """Replace an answer if it is an e-mail address, or was asked to be one."""
        is_personal = str(question_id) in email_questions or is_email(answer)
        return self.value(answer) if is_personal else answer

    def url(self, url: Any) -> str | None:
        """Replace the query and fragment of a URL, and what is an address before them."""
        if url is None:
            return None
        page = re.split(r"[?#]", str(url), maxsplit=1)[0]
        personal = str(url).removeprefix(page)
        if "@" in page or "%40" in page:
            page = _USER_OF_URL.sub(r"\1//", page)
            parts = page.split("/")
            # A part keeps its place, so that pages of one kind still look alike.
            page = "/".join(
                self.value(unquote(part)) or "" if is_email(unquote(part)) else part
                for part in parts
            )
        if len(personal) <= 1 or self.mode is PiiMode.DROP:
            return page
        return f"{page}?{self.value(personal.removeprefix('?'))}"

    def unknown(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Replace every value; the paths stay, so that a change of the API is still seen."""
        return {path: self.value(value) for path, value in fields.items()}


def without_emails(text: str) -> str:
    """Cover the e-mail addresses, and hashes of such, in a text that others will read."""
    return _WORD.sub(lambda word: _without_email(word[0]), _HASHED.sub(_COVER, text))


def _without_email(word: str) -> str:
    """Cover the addresses in a word: what is around an @, up to another one."""
    if "@" not in word:
        return word
    parts = word.split("@")
    shown, number = [], 0
    while number < len(parts):
        if number + 1 < len(parts) and parts[number] and _is_domain(parts[number + 1]):
            shown.append(_COVER)
            number += 2
        else:
            shown.append(parts[number])
            number += 1
    return "@".join(shown)


def is_email(value: object) -> bool:
    """Tell whether a text is an e-mail address and nothing else."""
    if not isinstance(value, str):
        return False
    text = value.strip()
    if len(text) > _MAX_EMAIL_LENGTH or text.count("@") != 1 or len(text.split()) != 1:
        return False
    name, _, domain = text.partition("@")
    return bool(name) and _is_domain(domain)


def _is_domain(text: str) -> bool:
    """Tell whether a text has a dot with something on either side."""
    return "." in text[1:-1]
