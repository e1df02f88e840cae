"""What an answer is that is not in the format its stream declares.

An answer that is cut off may be whole the next time; one in another format never fits, so it is
not asked for again.
"""

import gzip
import re
import zlib
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
_XML = re.compile(rb"\s*<\?xml\b", re.IGNORECASE)
_HTML = re.compile(rb"\s*<(?:!doctype\s+html|html|head|body|script)\b", re.IGNORECASE)
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


def is_html(body: bytes) -> bool:
    """Tell whether a body is a page for a browser, such as a login page."""
    return bool(_HTML.match(body.removeprefix(BOM)))


def refuse_other_format(body: bytes, kind: str) -> None:
    """Refuse a body that is of another format than the declared one.

    Args:
        body: A body that cannot be decoded.
        kind: Its declared format.

    Raises:
        HotjarSchemaError: It is of another format; the text names it.
    """
    for begin, what in _BINARY.items():
        if body.startswith(begin):
            problem = f"is {what}, which a stream cannot read; ask the API for JSON or CSV"
            raise HotjarSchemaError("body", problem)
    if _XML.match(body.removeprefix(BOM)):
        problem = (
            "is XML, which a stream cannot read; ask the API for JSON, for example with "
            "`headers: {Accept: application/json}`"
        )
        raise HotjarSchemaError("body", problem)
    other = "" if kind == "csv" else _other_text(body, kind)
    if other:
        raise HotjarSchemaError("body", f"is {other}; declare `format: {_NAMES[other]}`")


_NAMES = {"JSON": "json", "JSON lines": "jsonl", "CSV": "csv"}


def _other_text(body: bytes, kind: str) -> str:
    if kind == "jsonl" and _is_json(body):
        return "JSON"
    lines = [
        line for line in body.removeprefix(BOM)[:_LOOKED_AT_BYTES].splitlines() if line.strip()
    ]
    if len(lines) < 2 or is_html(body):  # noqa: PLR2004 - a header and a row
        return ""
    if kind == "json" and lines[0][:1] in {b"{", b"["} and _is_json(lines[0]):
        return "JSON lines"
    counts = [[line.count(each.encode()) for each in DELIMITERS] for line in lines[:2]]
    is_table = any(cells and cells == below for cells, below in zip(*counts, strict=True))
    return "CSV" if is_table and lines[0].lstrip()[:1] not in {b"{", b"["} else ""


def _is_json(text: bytes) -> bool:
    try:
        parse_json(text)
    except (ValueError, RecursionError):
        return False
    return True
