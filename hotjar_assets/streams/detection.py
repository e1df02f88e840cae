"""What an answer is that is not in the format its stream declares.

An answer that is cut off may be whole the next time; one in another format never fits, so it is
not asked for again.
"""

import codecs
import csv
import gzip
import re
import zlib
from contextlib import suppress
from itertools import chain, islice, repeat
from typing import IO, cast

from hotjar_assets.api.json_values import BOM, parse_json
from hotjar_assets.api.limits import DEFAULT_LIMITS, MAX_ANSWER, Limits
from hotjar_assets.errors import HotjarLimitError, HotjarSchemaError

DELIMITERS = ",;\t|"
"""What is usual between the cells of a CSV."""
_GZIP = b"\x1f\x8b"
_BINARY = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"%PDF": "a PDF",
    b"PAR1": "Parquet",
}
_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body|script)\b", re.IGNORECASE)
_XML = re.compile(rb"<\?xml\b", re.IGNORECASE)
_MARKUP = re.compile(rb"<(?:[?!]|[A-Za-z_][\w.:-]*(?:\s[^<>]*)?(?:/>|>\s*<[A-Za-z/!?]|>[^<]*</))")
"""How XML or HTML begins; names in angle brackets may be the header of a CSV."""
_JSON = re.compile(
    rb'\{|\[\s*(?:[{\["]|\]\s*\Z|(?:-?\d[\d.eE+-]*|true|false|null)\s*,)|(?:true|false|null)\s*\Z'
)
"""How JSON begins; a name in brackets may be the header of a CSV."""
_GUARD = re.compile(rb"\)\]\}'|(?:for *\(;;\)|while *\(1\)) *;")
"""What some APIs write before JSON, so that no script of another site can read it."""
_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE | re.ASCII)
_TEXT_CODEC = re.compile(r"(?:iso8859|cp|koi8|mac|gb|big5|euc|shift_jis).{0,20}")
"""Some codecs of Python are of something else, or slow."""
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF16_JSON = (b"{\0", b"\0{", b"[\0", b"\0[")
_LOOKED_AT_BYTES = 4096


def is_gzip(body: bytes) -> bool:
    """Tell whether a body is gzip."""
    return body.startswith(_GZIP)


def unzipped(body: bytes, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Return a body without its gzip compression, which its first two bytes tell.

    Raises:
        HotjarLimitError: It is larger than an answer may be.
        ValueError: It is cut off or damaged.
    """
    if not is_gzip(body):
        return body
    whole, rest, allowed = b"", body, limits.answer_bytes
    while rest.startswith(_GZIP):
        member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        try:
            whole += member.decompress(rest, allowed + 1 - len(whole))
        except zlib.error:
            raise ValueError("damaged gzip") from None
        if len(whole) > allowed:
            problem = "the unpacked answer is larger than is allowed"
            raise HotjarLimitError("body", problem, limit=limits.answer_mb, setting=MAX_ANSWER)
        if not member.eof:
            raise ValueError("gzip that is cut off")
        rest = member.unused_data
    return whole


def unzipped_file(file: IO[bytes]) -> IO[bytes]:
    """Return a file, from its start, without its gzip compression; errors when it is read."""
    file.seek(0)
    begin = file.read(len(_GZIP))
    file.seek(0)
    return cast("IO[bytes]", gzip.GzipFile(fileobj=file, mode="rb")) if is_gzip(begin) else file


def charset_of(content_type: str) -> str:
    """Return the usual encoding of text that a Content-Type names, else UTF-8."""
    named = _CHARSET.search(content_type)
    with suppress(LookupError):
        name = codecs.lookup(named[1]).name if named else ""
        if _TEXT_CODEC.fullmatch(name):
            return name
    return "utf-8"


def refuse_utf16(body: bytes) -> None:
    """Refuse a CSV of another encoding that begins as UTF-16 does.

    Raises:
        HotjarSchemaError: It does.
    """
    if body.startswith(_UTF16):
        raise HotjarSchemaError("body", "is UTF-16 text; declare `encoding: utf-16`")


def refuse_other_format(body: bytes, kind: str, media_type: str = "") -> None:
    """Refuse a body that is of another format than the declared one.

    Args:
        body: A body that cannot be decoded; or the beginning of what should be a CSV.
        kind: Its declared format.
        media_type: What the answer says that it is.

    Raises:
        HotjarSchemaError: It is of another format; the text names it.
    """
    for begin, what in _BINARY.items():
        if body.startswith(begin):
            problem = f"is {what}, which a stream cannot read; ask the API for JSON or CSV"
            raise HotjarSchemaError("body", problem)
    begin = body[:_LOOKED_AT_BYTES].removeprefix(BOM).lstrip()
    problem = ""
    if _HTML.match(begin):
        problem = (
            "is an HTML page, probably a login page or that of another URL; check base_url, path "
            "and authentication"
        )
    elif _MARKUP.match(begin) or (kind != "csv" and begin.startswith(b"<")):
        what = "XML" if _XML.match(begin) else "XML or HTML"
        problem = (
            f"is {what}, which a stream cannot read; ask the API for JSON, for example with "
            "`headers: {Accept: application/json}`"
        )
    elif _GUARD.match(begin):
        problem = "is JSON behind a guard against scripts; ask the API for JSON without it"
    elif kind != "csv" and body.startswith(_UTF16 + _UTF16_JSON):
        problem = "is UTF-16 text; ask the API for UTF-8"
    elif other := _other_text(body, begin, kind, media_type):
        problem = f"is {other}; declare `format: {_NAMES[other]}`"
    if problem:
        raise HotjarSchemaError("body", problem)


_NAMES = {"JSON": "json", "JSON lines": "jsonl", "CSV": "csv"}


def _other_text(body: bytes, begin: bytes, kind: str, media_type: str) -> str:
    if kind == "jsonl" and _is_json(body):
        return "JSON"
    lines = [line for line in begin.splitlines() if line.strip()]
    if begin.startswith((b"{", b"[")):
        is_lines = len(lines) > 1 and lines[1].startswith((b"{", b"[")) and _is_json(lines[0])
        if kind != "jsonl" and is_lines:
            return "JSON lines"
    if kind == "csv":
        return "JSON" if _JSON.match(begin) else ""
    if begin.startswith((b"{", b"[")):
        return ""
    is_table = any(_is_table(lines, delimiter) for delimiter in DELIMITERS)
    return "CSV" if is_table or (lines and media_type in _CSV_TYPES) else ""


_CSV_TYPES = {"text/csv", "application/csv"}


def _is_table(lines: list[bytes], delimiter: str) -> bool:
    """Tell whether a header and a row have as many cells, and more than one."""
    texts = [f"{line.decode('utf-8', 'replace')}\n" for line in lines]
    header, row = islice(chain(csv.reader(texts, delimiter=delimiter), repeat([])), 2)
    return 1 < len(header) == len(row)


def _is_json(text: bytes) -> bool:
    try:
        parse_json(text)
    except (ValueError, RecursionError):
        return False
    return True
