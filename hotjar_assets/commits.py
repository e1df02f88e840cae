"""Finished walks on their way into a store: committed in groups while reading goes on.

What every sync shares once `readers` has read: no Dagster, no database, and no knowledge of what is
stored. The store is whoever commits.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from hotjar_assets.errors import HotjarError, HotjarStoreError
from hotjar_assets.printable import get_logger
from hotjar_assets.readers import ReadT

logger = get_logger(__name__)


@dataclass(frozen=True)
class Figures:
    """What one commit did to the rows of a unit: of a survey, of a parent, or of a whole table.

    Attributes:
        rows: Rows now in the table, marked ones included.
        new: Rows that were not there.
        updated: Rows that changed.
        deleted: Rows newly marked as deleted.
        purged: Rows removed that an earlier full sync had marked.
        vanished: Unmarked rows that a walk should have met and did not: some are gone from Hotjar.
    """

    rows: int = 0
    new: int = 0
    updated: int = 0
    deleted: int = 0
    purged: int = 0
    vanished: int = 0

    @property
    def has_changes(self) -> bool:
        """Whether any row is not as it was."""
        return bool(self.new or self.updated or self.deleted or self.purged)

    def __add__(self, later: "Figures") -> "Figures":
        """Sum up two commits of the same unit."""
        return Figures(
            rows=later.rows,
            new=self.new + later.new,
            updated=self.updated + later.updated,
            deleted=self.deleted + later.deleted,
            purged=self.purged + later.purged,
            vanished=later.vanished,
        )


def commit_groups(
    groups: Generator[list[ReadT], None, None],
    commit: Callable[[Sequence[ReadT]], Mapping[str, Figures | HotjarStoreError]],
    what: str,
) -> Iterator[tuple[ReadT, Figures | HotjarError]]:
    """Commit groups of finished walks while reading goes on.

    Args:
        groups: The walks, failed ones with their error.
        commit: Stores walks without an error, and tells by key what was done.
        what: What a walk is through, for the log.

    Yields:
        Each walk, its segments deleted, with what became of it.
    """
    with closing(groups):
        for group in groups:
            results = commit([read for read in group if not read.error])
            # One line for the group: Dagster stores each line as an event of its own.
            logger.info(
                "%d %s committed; new rows: %s",
                len(results),
                what,
                _news(results, {read.key: read.label for read in group}),
            )
            for segment in (segment for read in group for segment in read.segments):
                segment.path.unlink(missing_ok=True)
            for read in group:
                yield read, read.error or results[read.key]


def _news(results: Mapping[str, Figures | HotjarStoreError], labels: Mapping[str, str]) -> str:
    new = {key: result.new for key, result in results.items() if isinstance(result, Figures)}
    return ", ".join(f"{count} in {labels[key]}" for key, count in new.items() if count) or "none"
