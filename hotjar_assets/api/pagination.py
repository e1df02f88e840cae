"""Following cursors to their end, and noticing when they have none."""

from collections import Counter
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
    identify: Callable[[PageT], Iterable[object] | None] | None = None,
    may_end: Callable[[PageT], bool] | None = None,
) -> Iterator[PageT]:
    """Yield the pages of one listing, in the API's order.

    A short or empty page does not end the listing; only an absent, null or empty `next_cursor`
    does.

    Args:
        get_page: Cursor to page; None asks for the first one.
        start_cursor: Where to start instead of at the first page.
        identify: Page to what tells its rows apart, where pages whose rows came before are a
            fault: an API that ignores the cursor repeats them endlessly. A page may repeat, where
            rows that arrive meanwhile shift it. None: it may repeat.
        may_end: Page to whether its listing may be over if the page came before: nothing in it says
            that more follow. Given, a listing may also end with an empty page whose cursor came
            before, or with its last page again. A first page that repeats is still a fault.

    Raises:
        HotjarPaginationError: A cursor came twice, or `MAX_EMPTY_PAGES` empty pages in a row, or
            `MAX_REPEATED_PAGES` whose rows came before and must not.
        HotjarLimitError: A cursor is longer than `MAX_CURSOR_LENGTH`.
        HotjarApiError: Whatever `get_page` raised, with the page's number.
    """
    cursor, number, empty = start_cursor, 0, 0
    # Their hashes alone: a listing may have millions of pages.
    seen, contents = {hash(start_cursor)}, _Contents()
    waiting: list[PageT] = []
    names_itself = False
    while True:
        number += 1
        try:
            page = get_page(cursor)
            content = identify(page) if identify and page.results else None
            is_counted = may_end is not None and may_end(page)
            contents.see(content, may_end=is_counted)
            asked, cursor = cursor, page.next_cursor
            is_repeated = cursor is not None and hash(cursor) in seen
            is_end = may_end is not None and is_repeated
            if contents.is_over or (is_end and (contents.is_last_again or not page.results)):
                return
            # The last page may name itself: asked for once more, it is the last page again.
            names_itself = is_end and cursor == asked and contents.is_new and not names_itself
            is_repeated &= not names_itself
            _check_cursor(cursor)
        except HotjarApiError as error:
            raise error.locate(page=number) from None
        if is_counted and contents.is_last_again and cursor is not None:
            # It may be the last page again, which must not be stored twice. All that wait are
            # alike, so one is held.
            waiting = [page] * (len(waiting) + 1)
        else:
            yield from (*waiting, page)
            waiting.clear()
        if cursor is None:
            return
        empty = 0 if page.results else empty + 1
        if is_repeated or empty == MAX_EMPTY_PAGES:
            problem = (
                "the next cursor repeats an earlier one; reading on would never end"
                if is_repeated
                else f"{empty} empty pages in a row; giving up"
            )
            raise HotjarPaginationError(problem).locate(page=number)
        seen.add(hash(cursor))


def _check_cursor(cursor: str | None) -> None:
    if cursor is not None and len(cursor) > MAX_CURSOR_LENGTH:
        limit = f"{MAX_CURSOR_LENGTH} characters"
        raise HotjarLimitError("the next cursor", "is too long to be sent", limit=limit)


class _Contents:
    """What the pages of a listing held, to notice those that came before.

    Attributes:
        is_new: Whether the page holds what no page did before.
        is_last_again: Whether the page holds what the one before it does, after others.
        is_over: Whether the last page came so often that the listing has no more.
    """

    def __init__(self) -> None:
        self._met: set[int] = set()
        self._last: int | None = None
        self._again = 0
        # By the limit that they count towards.
        self._repeated = Counter[int]()
        self.is_new = self.is_last_again = self.is_over = False

    def see(self, rows: Iterable[object] | None, *, may_end: bool) -> None:
        """Note the rows of a page; None where there are none.

        Args:
            rows: What tells its rows apart.
            may_end: Whether the listing is over, and not at fault, where its last page comes again
                and again.

        Raises:
            HotjarPaginationError: `MAX_REPEATED_PAGES` in a row came before.
        """
        self.is_new = self.is_last_again = False
        if rows is None:
            return
        hashes = [hash(repr(row)) for row in rows]
        content = hash(tuple(hashes))
        self.is_new = content not in self._met
        self.is_last_again = content == self._last and len(self._met) > 1
        self._met.add(content)
        self._last = content
        # Rows that are alike within a page may be so on several pages.
        limit = MAX_REPEATED_PAGES if len({*hashes}) == len(hashes) else MAX_EMPTY_PAGES
        self._again = self._again + 1 if self.is_last_again else 0
        self._repeated = Counter() if self.is_new else self._repeated + Counter([limit])
        self.is_over = may_end and self._again == limit == MAX_REPEATED_PAGES
        if self._repeated[limit] >= limit and not self.is_over:
            problem = (
                f"{limit} pages in a row hold what came before: the API ignores the cursor, or "
                "repeats its last page endlessly; for a stream, check `pagination`, and name "
                "`total_pages` or `has_more` if the API gives one"
            )
            raise HotjarPaginationError(problem)
