"""Following cursors to their end, and noticing when they have none."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from hotjar_assets.errors import HotjarApiError, HotjarPaginationError

MAX_EMPTY_PAGES = 1000
"""Empty pages in a row before a listing counts as endless."""


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
    forbid_repeats: bool = False,
) -> Iterator[PageT]:
    """Yield the pages of one listing, in the API's order.

    A short or empty page does not end the listing; only an absent, null or empty `next_cursor`
    does.

    Args:
        get_page: Cursor to page; None asks for the first one.
        start_cursor: Where to start instead of at the first page.
        forbid_repeats: Whether a page that is the same as the one before it is a fault: where we
            count the pages, an API that does not heed the number would give one page for ever.

    Raises:
        HotjarPaginationError: A cursor came twice, or `MAX_EMPTY_PAGES` empty pages in a row, or a
            page with rows came twice in a row and must not.
        HotjarApiError: Whatever `get_page` raised, with the page's number.
    """
    cursor, seen, number, empty = start_cursor, {start_cursor}, 0, 0
    previous: Sequence[object] = ()
    while True:
        number += 1
        try:
            page = get_page(cursor)
        except HotjarApiError as error:
            raise error.locate(page=number) from None
        if forbid_repeats:
            if page.results and page.results == previous:
                problem = (
                    "the page is the same as the one before it: the API does not heed the "
                    "number it is asked for, or gives its last page for ever"
                )
                raise HotjarPaginationError(problem).locate(page=number)
            previous = page.results
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return
        empty = 0 if page.results else empty + 1
        if cursor in seen or empty == MAX_EMPTY_PAGES:
            problem = (
                "next_cursor repeats an earlier one; reading on would never end"
                if cursor in seen
                else f"{empty} empty pages in a row; giving up"
            )
            raise HotjarPaginationError(problem).locate(page=number)
        seen.add(cursor)
