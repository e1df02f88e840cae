"""Values of single fields of the YAML: each check returns the value, or says what is wrong."""

import codecs
import re
from urllib.parse import urlsplit

from hotjar_assets.did_you_mean import meant
from hotjar_assets.streams.checks import split_personal
from hotjar_assets.streams.formats import compiled, plain_steps

_DIRECTIVES = "aAbBcdfGHIjmMpSuUVwWxXyYzZ%"
"""What may follow a percent sign in a strftime format."""


_SECRET_BEGINS = re.compile(
    r"[sprw]k_(?:live|test|prod)_|whsec_|gh[opsur]_|github_pat_|glpat|xox[a-z]|xapp_"
    r"|ya29|eyJ|shp(?:at|ca|pa|ss)_|AKIA|ASIA|AIza|npm_|dop_v1_|lin_api_"
)
"""How secrets begin of which all characters may stand in a name."""


def shown_env_name(value: str) -> str:
    """Return how an error calls an environment variable: what may be a secret is not shown."""
    if re.fullmatch(r"[A-Z_][A-Z0-9_]*", value):
        return value
    return "a variable that is not named in upper case (and may be a secret, so it is not shown)"


def check_env_name(value: str) -> str:
    """Return the name of an environment variable.

    Raises:
        ValueError: It looks like a secret itself.
    """
    is_name = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value)
    is_mixed = all(re.search(kind, value) for kind in ("[a-z]", "[A-Z]", r"\d"))
    # Keys mix letters and digits where names have words.
    is_key = any(
        len(part) >= 10 and re.search(r"\d", part) and re.search(r"[A-Za-z]", part)  # noqa: PLR2004
        for part in value.split("_")
    )
    if not is_name or is_mixed or is_key or _SECRET_BEGINS.match(value):
        raise ValueError(
            "looks like a secret itself; put that into the environment, and here the name of its "
            "variable, for example ACME_KEY"
        )
    return value


def check_path(value: str) -> str:
    """Return a JSONPath.

    Raises:
        ValueError: It is none.
    """
    if len(value) > _MAX_PATH_LENGTH:
        raise ValueError(f"is longer than {_MAX_PATH_LENGTH} characters")
    if not value.startswith("$"):
        raise ValueError(f"a JSONPath begins with $; {_meant_path(value)}")
    try:
        compiled(value)
    except ValueError as error:
        raise ValueError(f"is no JSONPath ({error}); {_meant_path(value)}") from None
    plain = _QUOTED.sub("''", value)
    for pattern, what in _SLOW_PATHS:
        if pattern.search(plain):
            raise ValueError(f"holds {what}, which may never end; name the fields instead")
    return value


def check_personal_name(value: str) -> str:
    """Return the name of a column, or of a place inside of one.

    Raises:
        ValueError: The path has other steps than names, [0] and [*].
    """
    if plain_steps(split_personal(value)[1]) is None:
        problem = "the path after the column has names, [0] and [*] alone: attributes.$.phone"
        raise ValueError(problem)
    return value


def check_records_path(value: str) -> str:
    """Return the JSONPath of records; errors as in `check_path`."""
    # Other tools name the list, and not its items.
    if re.fullmatch(r"[A-Za-z_][\w.]*", value):
        raise ValueError(f"a JSONPath begins with $; write $.{value}[*]")
    return check_path(value)


def _meant_path(value: str) -> str:
    """Return what to write instead of what may be a path of jq or of another tool."""
    path = value.removeprefix("$").replace("[]", "[*]").lstrip(".")
    path = f"${path}" if path.startswith("[") else f"$.{path}"
    try:
        compiled(path)
    except ValueError:
        return "it looks like $.data[*]"
    return f"write {path}"


_MAX_PATH_LENGTH, _MAX_URL_LENGTH = 500, 2000
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*+'|\"(?:[^\"\\]|\\.)*+\"|(?<!\.)/(?:[^/\\]|\\.)*+/")
_SLOW_PATHS = (
    (re.compile(r"(?:\.\.|\?)[^|]*?\.\."), "`..` twice, or in a filter"),
    (re.compile(r"=~|\b(?:match|search)\s*\("), "a regular expression"),
    (re.compile(r"(?<!&)&(?!&)"), "an intersection (&)"),
)
"""What takes more steps than a document has values, and how it is called."""


def check_base_url(value: str) -> str:
    """Return a base URL.

    Raises:
        ValueError: It is none, or holds what belongs elsewhere.
    """
    if len(value) > _MAX_URL_LENGTH:
        raise ValueError(f"is longer than {_MAX_URL_LENGTH} characters")
    # A template at the beginning is a URL itself, any other may be a part of a host or a port.
    stand_in = re.sub(r"\{\{.*?\}\}", "1", re.sub(r"^\{\{.*?\}\}", "https://x", value))
    try:
        url = urlsplit(stand_in)
        fits = url.scheme in {"http", "https"} and url.hostname and url.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise ValueError("is no URL; it looks like https://api.example.com/v1")
    if url.query or url.fragment:
        raise ValueError("holds a query; put it under `query` of the streams")
    if url.username or url.password:
        raise ValueError("must not hold credentials; use `authentication`")
    return value


def check_instant_format(value: str) -> str:
    """Return how an instant is sent.

    Raises:
        ValueError: It is none of the words and no strftime format.
    """
    if value in {"timestamp", "milliseconds"}:
        return value
    directives = re.findall(r"%(.?)", value)
    unknown = [letter for letter in directives if not letter or letter not in _DIRECTIVES]
    if unknown:
        raise ValueError(f"%{unknown[0]} is no directive of strftime; one is %Y-%m-%dT%H:%M:%SZ")
    if not directives:
        raise ValueError(
            meant(value, ["timestamp", "milliseconds"])
            or "must be timestamp, milliseconds or a strftime format such as %Y-%m-%d"
        )
    return value


_SLOW_ENCODINGS = {"idna", "punycode", "raw-unicode-escape", "unicode-escape"}
"""Encodings of host names and of source code; no text of an API is of one."""


def check_encoding(value: str) -> str:
    """Return an encoding.

    Raises:
        ValueError: It is none.
    """
    problem = "is no encoding; one is utf-8, another cp1252"
    try:
        "".encode(value)
    except LookupError:
        raise ValueError(problem) from None
    if codecs.lookup(value).name in _SLOW_ENCODINGS:
        raise ValueError(problem)
    return value


_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def check_cron(value: str) -> str:
    """Return a cron of five fields.

    Raises:
        ValueError: It is none.
    """
    fields = value.split()
    if len(fields) != len(_CRON_RANGES) or not all(map(_fits_cron, fields, _CRON_RANGES)):
        raise ValueError(
            'is no cron; it looks like "30 5 * * 1-5": minute, hour, day, month, day of the week'
        )
    return value


def _fits_cron(text: str, bounds: tuple[int, int]) -> bool:
    for part in text.split(","):
        found = re.fullmatch(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/[1-9]\d?)?", part, re.ASCII)
        if found is None or any(
            not bounds[0] <= int(number) <= bounds[1] for number in found.groups() if number
        ):
            return False
    return True
