"""Trying a stream before anything is stored: which one is meant, and its first records."""

from collections.abc import Iterator
from itertools import islice

from hotjar_assets.did_you_mean import meant
from hotjar_assets.errors import HotjarConfigError
from hotjar_assets.printable import get_logger
from hotjar_assets.streams.formats import Record
from hotjar_assets.streams.loading import StreamsFolder
from hotjar_assets.streams.named_fields import NamedFields
from hotjar_assets.streams.personal import field_names, unprotected_warning
from hotjar_assets.streams.reading import SourceClient
from hotjar_assets.streams.spec import Source, Stream
from hotjar_assets.streams.sync import units_read
from hotjar_assets.streams.tables import StreamTable

logger = get_logger(__name__)

_MAX_NAMES = 1000
MAX_PARENTS = 10
"""Parents that are asked for children before a trial finds none."""


def find_stream(folder: StreamsFolder, name: str) -> tuple[Source, Stream]:
    """Return the stream that `source.stream`, or `stream` if only one has that name, means.

    `source/stream`, which is how Dagster writes an asset's key, is the same.

    Raises:
        HotjarConfigError: None or several are meant.
    """
    streams = {
        f"{source.name}.{each.name}": (source, each)
        for source in folder.sources.values()
        for each in source.streams
    }
    name = name.replace("/", ".")
    found = [full for full in streams if name in {full, full.partition(".")[2]}]
    if len(found) > 1:
        raise HotjarConfigError(name, f"several streams are named so: {', '.join(found)}")
    if not found:
        close = meant(name, [*streams, *(full.partition(".")[2] for full in streams)])
        nowhere = "none (name their folder or file: HOTJAR_STREAMS or --file)"
        known = f"known: {', '.join(streams) or nowhere}"
        invalid = "; ".join(map(str, folder.mistakes.values()))
        left_out = f"; invalid and left out: {invalid}" if invalid else ""
        raise HotjarConfigError(name, f"no such stream; {close or known}{left_out}")
    return streams[found[0]]


def find_streams(folder: StreamsFolder, name: str) -> list[tuple[Source, Stream]]:
    """Return the streams that a source's name means, parents first, else the one of `find_stream`.

    Raises:
        HotjarConfigError: None or several are meant.
    """
    named = [source for source in folder.sources.values() if source.name == name]
    if named:
        return [(source, stream) for source in named for stream in source.streams]
    return [find_stream(folder, name)]


def iter_rows(client: SourceClient, stream: Stream) -> Iterator[Record]:
    """Yield the rows of a stream as they come, before `transform`.

    Of a child, those of the first parent that has some, of the first `MAX_PARENTS`. A row is the
    record's fields, the columns of the metadata and those from the parent. At the end, logs a
    warning of each field that the stream names and no record has, and of fields that seem personal
    where the stream has no `personal`.

    Raises:
        HotjarApiError: As its subclasses say.
    """
    named = NamedFields(client.source.name, stream)
    found: dict[str, None] = {}
    try:
        units = units_read(client, StreamTable.of(client.source, stream.name).in_clear)
        for unit in islice(units, MAX_PARENTS):
            is_empty = True
            for page in client.iter_pages(stream, parent=unit.parent):
                named.see(page.records, page.flattened, page.unanswered)
                for record in page.records:
                    is_empty = False
                    if len(found) < _MAX_NAMES:
                        found |= dict.fromkeys(field_names(record))
                    yield {**record, **page.metadata, **unit.columns}
            if not is_empty:
                return
    finally:
        named.warn()
        warning = unprotected_warning(client.source, stream, found)
        if warning:
            logger.warning("%s", warning)
