"""Following cursors to their end, and noticing when they have none."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from hotjar_assets.api.limits import MAX_CURSOR_LENGTH
from hotjar_assets.errors import HotjarApiError, HotjarLimitError, HotjarPaginationError

MAX_EMPTY_PAGES = 1000
"""Empty pages in a row before a listing counts as endless."""
MAX_REPEATED_PAGES = 5
"""Pages in a row that came before in the same listing, before it counts as endless."""


class CursorPage(Protocol):
    """What the paginator needs to know of a page."""

    @property
    def next_cursor(self) -> str | None:
        """Cursor of the next page; None ends the listing."""

    @property
    def results(self) -> Sequence[object]:
        """Rows of the page; may be empty before the end."""


PageT = TypeVar("PageT", bound=CursorPage)


def iter_pages(
    get_page: Callable[[str | None], PageT],
    *,
    start_cursor: str | None = None,
    identify: Callable[[PageT], Iterable[object]] | None = None,
) -> Iterator[PageT]:
    """Yield the pages of one listing, in the API's order.

    A short or empty page does not end the listing; only an absent, null or empty `next_cursor`
    does.

    Args:
        get_page: Cursor to page; None asks for the first one.
        start_cursor: Where to start instead of at the first page.
        identify: Page to what tells its rows apart, where pages whose rows came before are a
            fault: an API that ignores the cursor repeats them endlessly. A page may repeat, where
            rows that arrive meanwhile shift it.

    Raises:
        HotjarPaginationError: A cursor came twice, or `MAX_EMPTY_PAGES` empty pages in a row, or
            `MAX_REPEATED_PAGES` whose rows came before and must not.
        HotjarLimitError: A cursor is longer than `MAX_CURSOR_LENGTH`.
        HotjarApiError: Whatever `get_page` raised, with the page's number.
    """
    cursor, number, empty = start_cursor, 0, 0
    # Their hashes alone: a listing may have millions of pages.
    seen, met = {hash(start_cursor)}, set[int]()
    repeated = 0
    while True:
        number += 1
        try:
            page = get_page(cursor)
        except HotjarApiError as error:
            raise error.locate(page=number) from None
        if identify and page.results:
            content = hash(tuple(hash(repr(row)) for row in identify(page)))
            repeated = repeated + 1 if content in met else 0
            met.add(content)
            if repeated == MAX_REPEATED_PAGES:
                problem = (
                    f"{repeated} pages in a row hold what came before: the API ignores the cursor, "
                    "or repeats its last page endlessly; for a stream, check `pagination`"
                )
                raise HotjarPaginationError(problem).locate(page=number)
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return
        if len(cursor) > MAX_CURSOR_LENGTH:
            limit = f"{MAX_CURSOR_LENGTH} characters"
            too_long = HotjarLimitError("next_cursor", "is too long to be sent", limit=limit)
            raise too_long.locate(page=number)
        empty = 0 if page.results else empty + 1
        if hash(cursor) in seen or empty == MAX_EMPTY_PAGES:
            problem = (
                "next_cursor repeats an earlier one; reading on would never end"
                if hash(cursor) in seen
                else f"{empty} empty pages in a row; giving up"
            )
            raise HotjarPaginationError(problem).locate(page=number)
        seen.add(hash(cursor))
