"""How each kind of pagination asks for a page and finds the next one.

A place in a listing is a text, the cursor: what the API named, or a page's number, an offset or a
URL. Following cursors to the end, and noticing when they have none, is `api/pagination`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from requests.utils import parse_header_links

from hotjar_assets.api.targets import origin_of, resolve
from hotjar_assets.api.transport import Answer
from hotjar_assets.errors import HotjarPaginationError, HotjarSchemaError
from hotjar_assets.streams.formats import only
from hotjar_assets.streams.spec import (
    CursorPagination,
    LinkPagination,
    OffsetPagination,
    PagePagination,
    Pagination,
)

_MAX_DIGITS = 18


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

    def put(self, place: str, name: str, value: str | int) -> "Request":
        """Return the request with one more value; in a body, numbers stay numbers."""
        if place == "body":
            return replace(self, body={**(self.body or {}), name: value})
        if place == "header":
            return replace(self, headers={**self.headers, name: str(value)})
        return replace(self, query={**self.query, name: str(value)})


def ask(request: Request, paging: Pagination, cursor: str | None) -> Request:
    """Return the request for the page at a cursor; None is the first page."""
    match paging:
        case CursorPagination() if cursor is not None:
            return request.put(paging.place, paging.parameter, cursor)
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


def next_cursor(
    paging: Pagination, cursor: str | None, *, document: Any, rows: int, answer: Answer
) -> str | None:
    """Return the cursor of the next page; None if there is none.

    Args:
        paging: The kind of pagination.
        cursor: The cursor of this page.
        document: What this page's body holds.
        rows: How many records this page has.
        answer: This page.

    Raises:
        HotjarPaginationError: The next page is on another host.
        HotjarSchemaError: What should be a cursor is none.
    """
    match paging:
        case CursorPagination():
            return _named(paging, document, answer)
        case PagePagination():
            return _next_page(paging, int(cursor or paging.start), document, rows)
        case OffsetPagination(next_offset=str() as selector):
            return _whole(document, selector)
        case OffsetPagination():
            return str(int(cursor or 0) + rows) if rows else None
        case LinkPagination():
            return _link(paging, document, answer)
    return None


def _next_page(paging: PagePagination, page: int, document: Any, rows: int) -> str | None:
    pages = paging.total_pages and _whole(document, paging.total_pages)
    more = page - paging.start + 1 < int(pages) if pages else rows > 0
    return str(page + 1) if more else None


def _named(paging: CursorPagination, document: Any, answer: Answer) -> str | None:
    if paging.selector is None:
        return answer.headers.get(str(paging.header), "").strip() or None
    return _cursor(document, paging.selector)


def _cursor(document: Any, selector: str) -> str | None:
    value = only(document, selector)
    if value is None or value is False or value == "":
        return None
    if isinstance(value, str | int) and value is not True:
        return str(value)
    raise HotjarSchemaError(selector, "is neither text nor a number, which a cursor is")


def _whole(document: Any, selector: str) -> str | None:
    value = _cursor(document, selector)
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
    named = origin_of(url)
    if named != origin_of(answer.url):
        raise HotjarPaginationError(
            f"the next page is on another host ({named}), which gets no credentials; check base_url"
        )
    return url


def _relations(link: Mapping[str, str]) -> list[str]:
    return link.get("rel", "").lower().split()
