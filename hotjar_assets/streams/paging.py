"""How each kind of pagination asks for a page and finds the next one.

A place in a listing is a text, the cursor: what the API named, or a page's number, an offset or a
URL. Following cursors to the end, and noticing when they have none, is `api/pagination`'s.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from requests.utils import parse_header_links

from hotjar_assets.api.limits import DEFAULT_LIMITS
from hotjar_assets.api.targets import origin_of, resolve
from hotjar_assets.api.transport import Answer
from hotjar_assets.did_you_mean import meant
from hotjar_assets.errors import HotjarPaginationError, HotjarSchemaError
from hotjar_assets.streams.detection import unzipped
from hotjar_assets.streams.formats import is_in, only, plain_steps, without_filters
from hotjar_assets.streams.spec import (
    CursorPagination,
    LinkPagination,
    OffsetPagination,
    PagePagination,
    Pagination,
    SinglePage,
    Stream,
)

Scalar = str | int | float
_MAX_DIGITS = 18
_LONG_NUMBER = re.compile(r"-?\d{18,}(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
"""What may be a number that was read as text, because a double would round it."""
_HTTP = 80
"""The port of http, where a URL names none."""


@dataclass(frozen=True)
class Request:
    """One request, without its credentials.

    Attributes:
        method: GET or POST.
        path: Below the base URL, or a URL.
        query: Query parameters.
        headers: Headers.
        body: JSON body; None: there is none.
    """

    method: Literal["GET", "POST"]
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Mapping[str, Any] | None

    def put(self, place: str, name: str, value: Scalar) -> "Request":
        """Return the request with one more value; in a body, numbers stay numbers.

        A name such as `variables.after` is that of a field inside of an object of the body.
        """
        if place == "body":
            return replace(self, body=_with(self.body or {}, name, value))
        if place == "header":
            return replace(self, headers={**self.headers, name: str(value)})
        return replace(self, query={**self.query, name: str(value)})


def _with(body: Mapping[str, Any], name: str, value: Scalar) -> dict[str, Any]:
    outer, is_inside, inner = ("", "", "") if name in body else name.partition(".")
    if not is_inside:
        return {**body, name: value}
    return {**body, outer: _with(body.get(outer) or {}, inner, value)}


class _NumberCursor(str):
    """The text of a number, which goes back as one where it can."""

    __slots__ = ()


def ask(request: Request, paging: Pagination, cursor: str | None) -> Request:
    """Return the request for the page at a cursor; None is the first page."""
    match paging:
        case CursorPagination() if cursor is not None:
            is_number = paging.place == "body" and isinstance(cursor, _NumberCursor)
            value = json.loads(cursor) if is_number else cursor
            return request.put(paging.place, paging.parameter, value)
        case PagePagination():
            return request.put(paging.place, paging.parameter, int(cursor or paging.start))
        case OffsetPagination():
            if paging.limit_parameter:
                request = request.put(paging.place, paging.limit_parameter, paging.limit)
            return request.put(paging.place, paging.parameter, int(cursor or 0))
        case LinkPagination() if cursor is not None:
            # The URL repeats the query that belongs to it.
            return replace(request, path=cursor, query={})
    return request


def is_counted(paging: Pagination, document: Any) -> bool:
    """Tell whether a next page is only counted, and nothing in the answer says that there is one.

    Args:
        paging: The kind of pagination.
        document: What a page's body holds.
    """
    match paging:
        case PagePagination() | OffsetPagination(next_offset=None):
            return not (is_bounded(paging, document) or _has_more(paging.has_more, document))
    return False


def is_bounded(paging: Pagination, document: Any) -> bool:
    """Tell whether the answer gives the number of pages; arguments as of `is_counted`."""
    selector = paging.total_pages if isinstance(paging, PagePagination) else None
    return selector is not None and only(document, selector) is not None


def unanswered(paging: Pagination, document: Any, answer: Answer) -> dict[str, tuple[str, str]]:
    """Return what a pagination names and an answer lacks.

    Args:
        paging: The kind of pagination.
        document: What this page's body holds.
        answer: This page.

    Returns:
        By the field of the YAML, what it says and what it may mean. That is empty where nothing in
        the answer is like it: many APIs leave out a cursor that they do not have.
    """
    found: dict[str, tuple[str, str]] = {}
    for field in ("selector", "next_offset", "total_pages", "has_more"):
        selector = str(getattr(paging, field, None) or "")
        steps = plain_steps(selector) if selector else None
        if not steps or not isinstance(steps[-1], str) or is_in(document, selector):
            continue
        above = selector[: selector.rindex(steps[-1])].rstrip("['.")
        around = only(document, above) if is_in(document, above) else document
        hint = _like(steps[-1], around if isinstance(around, dict) else {})
        found[f"pagination.{field}"] = (selector, hint)
    header = getattr(paging, "header", None)
    if header and header not in answer.headers:
        found["pagination.header"] = (header, _like(header, answer.headers))
    return found


_NEXT = re.compile(r"next|cursor|continuation", re.IGNORECASE)


def _like(name: str, known: Iterable[str]) -> str:
    names = [each for each in known if each.isprintable()]
    hint = meant(name, names)
    other = next((each for each in names if _NEXT.search(each)), None)
    return hint or (f"it has {other}" if other else "")


def next_cursor(
    stream: Stream, cursor: str | None, *, document: Any, rows: int, answer: Answer
) -> str | None:
    """Return the cursor of the next page; None if there is none.

    Args:
        stream: A stream with its kind of pagination.
        cursor: The cursor of this page.
        document: What this page's body holds.
        rows: How many records this page has.
        answer: This page.

    Raises:
        HotjarPaginationError: The next page is on another host, or `has_more` is true and there is
            no next cursor.
        HotjarSchemaError: What should be a cursor, a number or a boolean is not.
    """
    paging = stream.pagination
    has_more = None if isinstance(paging, SinglePage) else _has_more(paging.has_more, document)
    if has_more is False:
        return None
    following = None
    match paging:
        case CursorPagination():
            following = _named(stream, paging, document, answer)
        case PagePagination():
            more = rows > 0 or has_more
            return _next_page(paging, int(cursor or paging.start), document, has_more=more)
        case OffsetPagination(next_offset=str() as selector):
            following = _whole(selector, _cursor(document, selector))
        case OffsetPagination():
            following = str(int(cursor or 0) + rows) if rows else None
        case LinkPagination():
            following = _link(paging, document, answer)
    if has_more and following is None:
        problem = "`has_more` is true and the answer has nothing to ask on with; check `pagination`"
        raise HotjarPaginationError(problem)
    return following


def _has_more(selector: str | None, document: Any) -> bool | None:
    """Return whether there is a next page; None where the answer does not say."""
    value = None if selector is None else only(document, selector)
    if value is None or isinstance(value, bool):
        return value
    truth = _TRUTHS.get(str(value).lower())
    if truth is None:
        raise HotjarSchemaError(str(selector), "is neither true nor false")
    return truth


_TRUTHS = {
    **dict.fromkeys(("true", "1", "yes", "y"), True),
    **dict.fromkeys(("false", "0", "no", "n", ""), False),
}


def _next_page(
    paging: PagePagination, page: int, document: Any, *, has_more: bool | None
) -> str | None:
    if selector := paging.total_pages:
        pages = _whole(selector, _text(document, selector))
        has_more = page - paging.start + 1 < int(pages) if pages else has_more
    return str(page + 1) if has_more else None


def _named(stream: Stream, paging: CursorPagination, document: Any, answer: Answer) -> str | None:
    if paging.selector is None:
        cursor = answer.headers.get(str(paging.header), "").strip()
        return None if cursor.lower() in {*_ENDS, "false", "null"} else cursor
    value = only(document, paging.selector)
    if isinstance(value, float) or (isinstance(value, str) and _LONG_NUMBER.fullmatch(value)):
        document = _as_written(answer)
    if _is_of_record(paging.selector, stream.records):
        # 0 is as good an id as any.
        return _text(document, paging.selector)
    return _cursor(document, paging.selector)


def _as_written(answer: Answer) -> Any:
    """Return what an answer holds, with its numbers as they are written: `1.50` and not `1.5`."""
    text = unzipped(answer.body, DEFAULT_LIMITS).decode("utf-8-sig", "replace")
    return json.loads(text, strict=False, parse_float=_NumberCursor, parse_int=_NumberCursor)


def _is_of_record(selector: str, records: str) -> bool:
    """Tell whether a JSONPath selects a value of a record, such as the id of the last one."""
    listing, steps = (plain_steps(path) for path in (without_filters(records), selector))
    if listing is None or steps is None:
        return "[" in selector
    depth = len(listing) - 1
    return len(steps) > depth and steps[:depth] == listing[:depth] and isinstance(steps[depth], int)


_ENDS = {"", "0", "-1"}
"""What APIs write in place of the cursor of a next page."""


def _cursor(document: Any, selector: str) -> str | None:
    cursor = _text(document, selector)
    return None if cursor in _ENDS else cursor


def _text(document: Any, selector: str) -> str | None:
    value = only(document, selector)
    if value is None or value is False or value in ("", [], {}):
        return None
    if isinstance(value, str | int | float) and value is not True:
        return value if isinstance(value, str) else _NumberCursor(value)
    raise HotjarSchemaError(selector, "is neither text nor a number")


def _whole(selector: str, value: str | None) -> str | None:
    value = value and re.sub(r"(?<=\d)\.0+$", "", value)
    if value is not None and not (value.isdecimal() and len(value) <= _MAX_DIGITS):
        raise HotjarSchemaError(selector, "is not a whole number")
    return value


def _link(paging: LinkPagination, document: Any, answer: Answer) -> str | None:
    if paging.selector:
        target = _cursor(document, paging.selector)
    else:
        links = parse_header_links(answer.headers.get("Link", ""))
        target = next((link["url"] for link in links if "next" in _relations(link)), None)
    if target is None:
        return None
    try:
        url = resolve(target, answer.url)
    except ValueError as error:
        raise HotjarPaginationError(f"the link to the next page is {error}") from None
    named, own = origin_of(url), origin_of(answer.url)
    is_downgraded = (named.scheme, own.scheme, named.host) == ("http", "https", own.host)
    if is_downgraded and named.port in {_HTTP, own.port}:
        # An API behind a proxy may not know that it is asked over https.
        url = urlsplit(url)._replace(scheme="https", netloc=urlsplit(answer.url).netloc).geturl()
        named = origin_of(url)
    if named != own:
        raise HotjarPaginationError(
            f"the next page is on another host ({named}), which gets no credentials; check base_url"
        )
    return url


def _relations(link: Mapping[str, str]) -> list[str]:
    return link.get("rel", "").lower().split()
