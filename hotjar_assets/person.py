"""A person who is to be forgotten, and whether a text holds their address or id.

An address is compared after Unicode normalization and case folding, in clear text and in what a
URL, JSON or HTML makes of it, also twice over. It must stand alone: bob@x.com is not in
jimbob@x.com.au. Pure Python, no I/O.
"""

import html
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from hotjar_assets.config import PiiMode
from hotjar_assets.privacy import Privacy

NOBODY = ("", "00000000-0000-0000-0000-000000000000")
"""Ids that stand for every visitor without one."""
_NESTED = 4
"""How many encodings may lie around an address: JSON in a URL in a URL."""
_MOST_READINGS = 64
_HASH = re.compile("hmac:[0-9a-f]{64}")
_PERCENT = re.compile(r"(?:%[0-9a-f]{2})+|%u[0-9a-f]{4}", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,31});?", re.IGNORECASE)
_ESCAPE = re.compile(r"""(?:\\x[0-9a-fA-F]{2})+|(?:\\u[0-9a-fA-F]{4})+|\\["'\\/bfnrt]""")
_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_INVISIBLE = re.compile("[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""Soft hyphens, marks of direction and the like, which come with what is copied from a page."""
_LOOKALIKES = str.maketrans("\u2018\u2019\u02bc\u00b4\u3002", "''''.")
"""Telephones write an apostrophe as a quotation mark, Japanese keyboards a dot as a full stop."""
_ENCODED = re.compile(r"%[0-9a-fu]|\\[ux]|&#|&[a-z]{2,31};", re.IGNORECASE)
"""What shows that a letter, a digit or an @ may be encoded."""
_ADDRESS = re.compile(
    r"""("(?:[^"\\]|\\.)*"|[^\s@<>(),;:"\[\]]+)@[^\s@<>(),;:"'\[\].]+(\.[^\s@<>(),;:"'\[\].]+)*"""
)
"""One address alone: with a name or a second address beside it, nothing would be found."""
_SURROUNDINGS = (
    "{}", "<{}>", "({})", "[{}]", '"{}"', "'{}'", "{}.", "{},", "{};", "{}!", "mailto:{}",
    "<mailto:{}>", "email:{}", "e-mail:{}", "mail:{}", "email={}", "@{}",
)  # fmt: skip
"""What may stand around an address in a value without blanks, which is hashed as it is."""


@dataclass(frozen=True)
class Person:
    """Whose data is looked for: one of the two is given.

    Attributes:
        user_id: The `hotjar_user_id`.
        email: An e-mail address, in any case.
    """

    user_id: str | None = None
    email: str | None = None

    def __post_init__(self) -> None:
        """Refuse what would be found with everybody.

        Raises:
            ValueError: Neither an id nor an address, or both.
        """
        if (self.email is None) == (self.user_id is None):
            raise ValueError("give one of user_id and email")
        if self.user_id is not None and self.user_id.strip() in NOBODY:
            raise ValueError("the id of visitors who were not identified is shared by all of them")
        if self.email is not None and not _ADDRESS.fullmatch(self.email.strip()):
            raise ValueError("an e-mail address looks like name@example.com")


class PersonSearch:
    """Recognizes one person in texts.

    Args:
        person: The person.
        privacy: How personal values are stored, so that hashed ones are found too.
        user_ids: Further ids of theirs, as stored.
    """

    def __init__(
        self, person: Person, privacy: Privacy, user_ids: Iterable[str | None] = ()
    ) -> None:
        addresses = _spellings(person.email) if person.email else ()
        ids = {text.strip() for text in (person.user_id, *user_ids) if text}
        shared = {*NOBODY, *map(privacy.hash, NOBODY)}
        forms = {normalized(address) for address in addresses}
        self._addresses = tuple(sorted(forms, key=len))
        distinctive = {each for each in ids - shared if _is_distinctive(each)}
        self._ids = tuple(map(normalized, distinctive))
        self._has_blank = any(" " in form for form in forms)
        hashes: set[str] = set()
        # A stream may hash though the other tables do not.
        if privacy.mode is PiiMode.HASH or privacy.key:
            written = [around.format(text) for text in addresses for around in _SURROUNDINGS]
            # Elsewhere, the hash of `pro` is that of a word.
            hashes = {privacy.hash(text) for text in (*written, *distinctive)}
        self._hashes = (hashes | {each for each in ids if _HASH.fullmatch(each)}) - shared
        # What JSON writes as it is.
        self._parts = (
            *{(_run(form.rpartition("@")[0]), form[form.rindex("@") :]) for form in forms},
            *((_run(each),) for each in self._ids),
            *([("hmac:",)] if self._hashes else []),
        )
        self.user_ids = tuple(sorted((ids | {privacy.hash(each) for each in ids}) - shared))
        """What the column `hotjar_user_id` holds of the person, if the id was given."""
        self.key_fingerprint = replace(privacy, mode=PiiMode.HASH).fingerprint
        """Which key the hashes are of."""

    @property
    def pattern(self) -> str:
        """Return a regular expression (RE2) that finds at least every text with the person in it.

        It is cheap: a part of the address or id that is written with ASCII letters and digits
        alone, or anything that may be an encoded or another form of them.
        """
        wanted = {each.removeprefix("hmac:")[:16] for each in self._hashes}
        for form in (*self._addresses, *self._ids):
            name, at, _ = form.rpartition("@")
            run = _run(name or form)
            if run:
                wanted.add(run + (r"[^a-z0-9]{0,64}@" if at else ""))
            elif name.isascii():
                return ""
        return "(?i)" + "|".join((*sorted(wanted), _ENCODED.pattern, r"[^\x00-\x7f]"))

    def is_in(self, text: str) -> bool:
        """Tell whether a text holds the person."""
        if not self.may_be_in(text):
            return False
        if self._hashes and not self._hashes.isdisjoint(_HASH.findall(text)):
            return True
        return any(self._is_written_in(reading) for reading in self._readings(text))

    def is_in_json(self, text: str) -> bool:
        """Tell whether any key or value of a JSON document holds the person."""
        if not self.may_be_in(text):
            return False
        try:
            # Numbers keep their digits, since an id may be one, and a key that comes twice is read
            # twice.
            document = json.loads(text, parse_int=str, parse_float=str, object_pairs_hook=list)
        except (ValueError, RecursionError):
            return self.is_in(text)
        return any(self.is_in(each) for each in _texts(document))

    def may_be_in(self, text: str) -> bool:
        """Tell at little cost whether a text, or the values of a JSON document, may hold them."""
        plain = normalized(text)
        if any(all(part in plain for part in parts) for parts in self._parts):
            return True
        return _ENCODED.search(text) is not None

    def _is_written_in(self, text: str) -> bool:
        plain = normalized(text)
        return any(
            _stands_alone(plain, start, start + len(form), is_id=is_id)
            for forms, is_id in ((self._addresses, False), (self._ids, True))
            for form in forms
            for start in _places(plain, form)
        )

    def _readings(self, text: str) -> Iterator[str]:
        """Yield a text and what it is when it is decoded, in any order of the encodings."""
        seen, latest = {text}, [text]
        yield text
        for _ in range(_NESTED):
            decoded = (each for reading in latest for each in self._decoded(reading))
            latest = []
            for each in decoded:
                if each not in seen:
                    seen.add(each)
                    latest.append(each)
                    yield each
                if len(seen) >= _MOST_READINGS:
                    return

    def _decoded(self, text: str) -> Iterator[str]:
        if "%" in text:
            yield _PERCENT.sub(_percent_decoded, text)
            if "+" in text:
                # A form encodes an @ and writes a blank as +. Where the @ is not encoded, the + is
                # part of an address.
                part = r"[^&?#;=\s]+"
                yield _PERCENT.sub(_percent_decoded, re.sub(part, self._without_plus, text))
        elif "+" in text and self._has_blank:
            yield text.replace("+", " ")
        if "&" in text:
            yield _ENTITY.sub(lambda entity: html.unescape(entity.group()), text)
        if "\\" in text:
            yield _ESCAPE.sub(_unescaped, text)

    def _without_plus(self, part: "re.Match[str]") -> str:
        text = part.group()
        return text if "@" in text and not self._has_blank else text.replace("+", " ")


def normalized(text: str) -> str:
    """Return a text as it is compared: without case, and one form for what looks the same."""
    if text.isascii():
        return text.lower()
    text = _INVISIBLE.sub("", text).translate(_LOOKALIKES)
    text = unicodedata.normalize("NFKC", text)
    return unicodedata.normalize("NFKC", text.casefold())


def _spellings(address: str) -> tuple[str, ...]:
    """Return how an address may be written: its domain in Unicode or not, its name quoted or not.

    As they are and in lower case, composed and decomposed, for the sake of hashes.
    """
    local, _, domain = address.strip().rstrip(".").rpartition("@")
    locals_ = {local}
    if re.fullmatch(r'"(?:[^"\\]|\\.)*"', local, re.DOTALL):
        name = re.sub(r"\\(.)", r"\1", local[1:-1], flags=re.DOTALL)
        escaped = re.sub(r'(["\\])', r"\\\1", name)
        locals_.add(f'"{escaped}"')
        if re.fullmatch(r"[^\s\"(),:;<>@\[\]\\.]+(?:\.[^\s\"(),:;<>@\[\]\\.]+)*", name):
            locals_.add(name)
    else:
        locals_.add(f'"{local}"')
    whole = [f"{name}@{host}" for name in locals_ for host in _domains(domain)]
    cased = [form for text in whole for form in (text, text.lower(), text.casefold())]
    composed = {unicodedata.normalize("NFC", text) for text in cased}
    return tuple(sorted(composed | {unicodedata.normalize("NFD", text) for text in cased}))


def _domains(domain: str) -> set[str]:
    """Return a domain as it is, in Unicode and in ASCII (of both IDNA 2003 and 2008)."""
    lower = unicodedata.normalize("NFKC", domain).lower()
    labels = lower.split(".")
    forms = {domain, lower, ".".join(map(_unicode_label, labels))}
    ascii_ = [
        label if label.isascii() else f"xn--{label.encode('punycode').decode('ascii')}"
        for label in labels
    ]
    forms.add(".".join(ascii_))
    try:
        forms.add(lower.encode("idna").decode("ascii"))
    except UnicodeError:
        # The domain has no form in the older standard.
        return forms
    return forms


def _unicode_label(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return label.removeprefix("xn--").encode("ascii").decode("punycode")
    except UnicodeError:
        return label


def _is_distinctive(user_id: str) -> bool:
    """Tell whether an id is only found where it is meant: `7` is an answer, `pro` a word."""
    has_digit = any(map(str.isdigit, user_id))
    return has_digit and len(user_id) >= (8 if user_id.isdigit() else 5)


def is_looked_for_everywhere(person: Person) -> bool:
    """Tell whether more than the column `hotjar_user_id` is searched for a person."""
    return person.user_id is None or _is_distinctive(person.user_id.strip())


def _texts(document: Any) -> Iterator[str]:
    """Yield every key and value of a JSON document."""
    waiting = [document]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, list | tuple):
            waiting += each


def _places(text: str, wanted: str) -> Iterator[int]:
    start = text.find(wanted)
    while start >= 0:
        yield start
        start = text.find(wanted, start + 1)


def _stands_alone(text: str, start: int, end: int, *, is_id: bool) -> bool:
    """Tell whether a part of a normalized text is not part of a longer address or id."""
    return _begins(text, start) and _ends(text, end, is_id=is_id)


def _begins(text: str, start: int) -> bool:
    before = start - 1
    if before < 0 or text[start] == '"':
        return True
    if _is_letter(text[before]):
        return not _continues(text[before], text[start])
    if text[before] in "+-_":
        return False
    # Quotes and the like begin an address where nothing of one is before them: 'bob@x.com', but
    # not o'bob@x.com.
    while before >= 0 and text[before] in "!$%'*^`{}~.":
        before -= 1
    is_begun = start - 1 > before >= 0
    return not (is_begun and (_is_letter(text[before]) or text[before] in "+-_"))


def _ends(text: str, end: int, *, is_id: bool) -> bool:
    if end == len(text):
        return True
    after = text[end]
    if _is_letter(after):
        return not _continues(text[end - 1], after)
    if is_id and after in "_@":
        return False
    following = end + 1
    # A full stop or a dash ends a sentence where no further part of a domain comes after it.
    while after == "-" and following < len(text) and text[following] == "-":
        following += 1
    is_last = following == len(text)
    return after not in "-." or is_last or not _is_letter(text[following])


def _run(form: str) -> str:
    """Return the last run of ASCII letters and digits."""
    return next(reversed(re.findall("[a-z0-9]+", form)), "")


def _is_letter(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character).startswith("M")


def _continues(one: str, other: str) -> bool:
    """Tell whether two characters beside each other are of one word.

    Japanese and Chinese texts put no blank between a word and an address.
    """
    scripts = {_script(each) for each in (one, other) if each.isalpha()}
    return len(scripts) <= 1


@lru_cache(maxsize=4096)
def _script(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0]


def _percent_decoded(run: "re.Match[str]") -> str:
    text = run.group()
    if text[1] in "uU":
        return bytes.fromhex(text[2:]).decode("utf-16-be", "replace")
    return _text_of(bytes.fromhex(text.replace("%", "")))


def _unescaped(escape: "re.Match[str]") -> str:
    text = escape.group()
    if text[1] == "x":
        return _text_of(bytes.fromhex(text.replace("\\x", "")))
    if text[1] == "u":
        units = bytes.fromhex(text.replace("\\u", ""))
        return units.decode("utf-16-be", "replace")
    return _CONTROLS.get(text[1], text[1])


def _text_of(encoded: bytes) -> str:
    """Decode bytes as UTF-8, or as what browsers take for Latin-1."""
    try:
        return encoded.decode("utf-8")
    except UnicodeDecodeError:
        return encoded.decode("cp1252", "replace")
