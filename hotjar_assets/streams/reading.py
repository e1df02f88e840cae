"""Read the streams of a source: the pages of any endpoint, through the engine that reads Hotjar.

Requests, retries and pace are `api/transport`'s, following pages is `api/pagination`'s; here the
YAML becomes requests and answers become records. Nothing is stored.
"""

import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any, cast

import requests

from hotjar_assets.api.auth import check_header_value
from hotjar_assets.api.limits import (
    DEFAULT_LIMITS,
    LARGE_BYTES,
    MAX_RECORD_BYTES,
    Limits,
    check_record,
)
from hotjar_assets.api.paced import PacedClient
from hotjar_assets.api.pagination import iter_pages
from hotjar_assets.api.secrecy import SentRequest, ShownAnswer, shown_url
from hotjar_assets.api.transport import Answer, RequestCount
from hotjar_assets.config import check_url
from hotjar_assets.errors import (
    HotjarApiError,
    HotjarBodyError,
    HotjarConfigError,
    HotjarSchemaError,
    HotjarStatusError,
)
from hotjar_assets.printable import get_logger
from hotjar_assets.streams import paging
from hotjar_assets.streams.authentication import advice_of, auth_of
from hotjar_assets.streams.checks import sends_as_instant
from hotjar_assets.streams.detection import charset_of, is_gzip, refuse_other_format, unzipped
from hotjar_assets.streams.formats import (
    Record,
    decode,
    flattened,
    has_errors,
    iter_parts,
    listed_in,
    only,
    records_in,
    without_filters,
)
from hotjar_assets.streams.paging import Request
from hotjar_assets.streams.spec import OAuth2, PagePagination, Source, Stream
from hotjar_assets.streams.templates import Templates, as_text

logger = get_logger(__name__)

Since = datetime | date | int | float | str
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d.*)?")


@dataclass(frozen=True)
class RecordPage:
    """One page of a stream.

    Attributes:
        records: Decoded JSON values, in the API's order.
        listed: Those and the ones that a filter in the stream's `records` leaves out.
        metadata: The stream's `metadata`, by column; None where the answer has none.
        next_cursor: Where the next page is; None: this is the last one.
        key: Fields that identify a record; none: all of it does.
        flattened: Fields of the stream's `flatten` that a record had.
        left_in_file: The answer, if it is long and was left in the file.
        is_counted: Whether nothing in the answer says that there is a next page.
        is_bounded: Whether the answer gives the number of pages.
        unanswered: What `pagination` names and the answer lacks, and what it may mean.
    """

    records: list[Record]
    listed: list[Record]
    metadata: Record
    next_cursor: str | None = None
    key: tuple[str, ...] = ()
    flattened: Collection[str] = ()
    left_in_file: Answer | None = None
    is_counted: bool = False
    is_bounded: bool = False
    unanswered: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def results(self) -> Sequence[object]:
        """What tells the records apart."""
        if not self.key:
            return self.listed
        return [[record.get(name) for name in self.key] for record in self.listed]


class SourceClient(PacedClient):
    """Read the streams of one source; safe under threads, lazy, nothing is requested before a call.

    Args:
        source: What the YAML says.
        environ: Where parameters and secrets come from.
        use_environment: Whether proxies and certificates come from the environment.
        sleep: Sleeps that many seconds, returning true if it was cancelled meanwhile.
        clock: Seconds on a clock that never goes backwards.
        on_request: Called with every request before it goes out; its secrets are hidden.
        on_unusable: Called with the beginning of every answer that cannot be used.
        limits: How large answers may be.

    Raises:
        HotjarConfigError: A parameter or a secret is missing, or of no use.
    """

    def __init__(
        self,
        source: Source,
        environ: Mapping[str, str] = os.environ,
        *,
        use_environment: bool = True,
        sleep: Callable[[float], bool | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_request: Callable[[SentRequest], None] | None = None,
        on_unusable: Callable[[ShownAnswer], None] | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.source = source
        self._limits = limits
        self._shows_answers = on_unusable is not None
        self._warned: set[str] = set()
        self._templates = Templates.of(source, environ)
        super().__init__(
            _base_url(source, self._templates),
            requests_per_minute=source.requests_per_minute,
            sleep=sleep,
            clock=clock,
            auth=auth_of(source, self._templates, environ, clock),
            advice=advice_of(source),
            use_environment=use_environment,
            on_request=on_request,
            on_unusable=on_unusable,
            secrets=self._templates.secrets,
            max_wait_seconds=source.max_wait_seconds,
            exchange_seconds=source.answer_timeout_seconds,
            limits=limits,
        )

    def iter_pages(
        self,
        stream: Stream,
        *,
        parent: Mapping[str, Any] | None = None,
        since: Since | None = None,
        count: RequestCount | None = None,
        folder: Path | None = None,
    ) -> Iterator[RecordPage]:
        """Yield the pages of a stream, in the API's order.

        A CSV, or JSON lines, without pagination may be of any length: it is kept on the disk, in a
        file without a name, and comes in parts.

        Args:
            stream: A stream of the source.
            parent: Of a child stream, the parent's record.
            since: Value of the replication key to read from; None: the stream's `start`. It is
                sent if the stream names a parameter for it; else the caller ends the walk.
            count: Where to count the requests.
            folder: Where a long answer is kept; None: the system's folder of temporary files.

        Raises:
            HotjarSchemaError: The parent's record lacks a field, or an answer has no such records.
            HotjarPaginationError: The pages have no end, or go on at another host.
            HotjarApiError: As its subclasses say, with the page's number.
        """
        request = self._request(stream, parent, since)
        if _comes_in_parts(stream):
            return self._iter_parts(stream, request, count, folder)

        def get_page(cursor: str | None) -> RecordPage:
            return self._get_page(stream, request, cursor, count)

        return iter_pages(
            get_page,
            identify=lambda page: None if page.is_bounded else page.results,
            may_end=lambda page: page.is_counted,
        )

    def start_of(self, stream: Stream, parent: Mapping[str, Any] | None = None) -> str | int | None:
        """Return the value from which a stream is read first, its variables replaced."""
        start = stream.incremental and stream.incremental.start
        return self._templates.mapping({"start": start}, parent).get("start")

    def _request(
        self, stream: Stream, parent: Mapping[str, Any] | None, since: Since | None
    ) -> Request:
        fill = self._templates
        query = fill.mapping(stream.query, parent)
        headers = fill.mapping({**self.source.headers, **stream.headers}, parent)
        request = Request(
            stream.method,
            fill.path(stream.path, parent),
            {name: as_text(value) for name, value in query.items()},
            {name: _header(name, as_text(value)) for name, value in headers.items()},
            None if stream.body is None else fill.mapping(stream.body, parent),
        )
        new = stream.incremental
        if new is None or new.parameter is None:
            return request
        if since is None:
            since = self.start_of(stream, parent)
        if since is None:
            return request
        sent = sent_value(since, new.format)
        is_number = new.format in {"timestamp", "milliseconds"}
        if isinstance(sent, str) and is_number and not sends_as_instant(sent, new.format):
            raise HotjarConfigError(
                f"{self.source.name}.{stream.name}",
                f"the value that is read from is text, and incremental.format is {new.format}; "
                "leave `format` out, or choose a cursor that is an instant or a number",
            )
        return request.put(new.place, new.parameter, sent)

    def _iter_parts(
        self, stream: Stream, request: Request, count: RequestCount | None, folder: Path | None
    ) -> Iterator[RecordPage]:
        with SpooledTemporaryFile(LARGE_BYTES, dir=str(folder) if folder else None) as file:
            page = self._get_page(stream, request, None, count, cast("IO[bytes]", file))
            if page.left_in_file is None:
                yield page
                return
            place = shown_url(page.left_in_file.url, self._templates.secrets)
            try:
                parts = iter_parts(
                    cast("IO[bytes]", file),
                    stream.format,
                    delimiter=stream.delimiter,
                    encoding=_encoding(stream, page.left_in_file.headers),
                    limits=self._limits,
                )
                with closing(parts):
                    for found in parts:
                        met = set[str]()
                        records = [
                            flattened(record, stream.flatten, met)
                            for record in records_in(found, stream.records)
                        ]
                        yield RecordPage(records, records, {}, flattened=met)
            except HotjarApiError as error:
                located = error.locate(method=stream.method, url=place)
                raise self._explained(located, stream) from None

    def _get_page(
        self,
        stream: Stream,
        request: Request,
        cursor: str | None,
        count: RequestCount | None,
        file: IO[bytes] | None = None,
    ) -> RecordPage:
        kind = stream.pagination

        def read(answer: Answer) -> RecordPage:
            if answer.status == requests.codes.no_content:
                return RecordPage([], [], {})
            # However short it is, gzip may hold a long answer.
            if answer.file or (file and is_gzip(answer.body)):
                return RecordPage([], [], {}, left_in_file=answer)
            document = _document(answer, stream, self._limits)
            found = records_in(document, stream.records)
            self._warn_of_errors(document, stream)
            if len(answer.body) > MAX_RECORD_BYTES:
                for number, record in enumerate(found):
                    check_record(record, f"records[{number}]")
            met = set[str]()
            records = listed = [flattened(record, stream.flatten, met) for record in found]
            if without_filters(stream.records) != stream.records:
                everything = listed_in(document, stream.records)
                listed = [flattened(record, stream.flatten) for record in everything]
            metadata = {name: only(document, path) for name, path in stream.metadata.items()}
            following = paging.next_cursor(
                stream, cursor, document=document, rows=len(listed), answer=answer
            )
            return RecordPage(
                records,
                listed,
                metadata,
                following,
                _key_fields(stream),
                met,
                is_counted=paging.is_counted(kind, document),
                is_bounded=paging.is_bounded(kind, document),
                unanswered=paging.unanswered(kind, document, answer),
            )

        asked = paging.ask(request, kind, cursor)
        try:
            return self._transport.read(
                asked.path,
                read,
                method=asked.method,
                params=asked.query,
                headers=asked.headers,
                json_body=asked.body,
                count=count,
                read_timeout_seconds=self.source.read_timeout_seconds,
                follows_elsewhere=stream.redirects == "any_host",
                file=file,
            )
        except HotjarStatusError as error:
            ends = isinstance(kind, PagePagination) and error.status == kind.end_status
            if not ends or cursor is None:
                raise self._explained(error, stream) from None
            return RecordPage([], [], {})
        except (HotjarSchemaError, HotjarBodyError) as error:
            raise self._explained(error, stream) from None

    def _warn_of_errors(self, document: Any, stream: Stream) -> None:
        """Warn once of `errors` beside the records, unless the stream reads them."""
        is_read = stream.records == "$" or stream.records.startswith("$.errors")
        if has_errors(document) and not is_read and stream.name not in self._warned:
            self._warned.add(stream.name)
            logger.warning(
                "%s.%s: an answer has `errors` beside its records, so that some may be missing",
                self.source.name,
                stream.name,
            )

    def _explained(self, error: HotjarApiError, stream: Stream) -> HotjarApiError:
        """Add how to see the answer, which may hold personal data and is in no log."""
        if self._shows_answers:
            return error
        command = f"hotjar-assets streams test {self.source.name}.{stream.name}"
        return error.locate(hint=f"`{command}` shows the answer")


def sent_value(since: Since, form: str) -> str | int:
    """Return a value of a replication key as the API is sent it.

    Args:
        since: The value; an instant without a zone is UTC.
        form: `timestamp` (whole seconds, rounded down), `milliseconds` or a strftime format, for
            instants; every other value is sent as it is.
    """
    if isinstance(since, str) and _INSTANT.fullmatch(since):
        with suppress(ValueError):
            since = datetime.fromisoformat(since)
    if isinstance(since, date) and not isinstance(since, datetime):
        since = datetime.combine(since, time_of_day())
    if isinstance(since, datetime):
        moment = since.replace(tzinfo=UTC) if since.tzinfo is None else since.astimezone(UTC)
        seconds = int((moment.replace(microsecond=0)).timestamp())
        if form == "timestamp":
            return seconds
        if form == "milliseconds":
            return seconds * 1000 + moment.microsecond // 1000
        return moment.strftime(form)
    if isinstance(since, float) and since.is_integer():
        return int(since)
    return since if isinstance(since, int) else str(since)


def _comes_in_parts(stream: Stream) -> bool:
    """Tell whether the records of an answer can be told apart without all of it."""
    is_each = stream.records.startswith(("$[*]", "$[?"))
    is_plain = stream.pagination.type == "none" and not stream.metadata
    return stream.format in {"csv", "jsonl"} and is_each and is_plain


def _encoding(stream: Stream, headers: Mapping[str, str]) -> str:
    if stream.format == "csv":
        return stream.encoding
    return charset_of(headers.get("Content-Type", ""))


def _document(answer: Answer, stream: Stream, limits: Limits) -> Any:
    body = answer.body
    try:
        body = unzipped(answer.body, limits)
        return decode(
            body,
            stream.format,
            delimiter=stream.delimiter,
            encoding=_encoding(stream, answer.headers),
            limits=limits,
        )
    except ValueError as error:
        # What an answer without a known beginning is, is best known by this.
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        refuse_other_format(body, stream.format, kind)
        is_kind = re.fullmatch(r"[a-z]{1,20}/[a-z0-9.+-]{1,40}", kind)
        raise ValueError(f"{error}, of {kind}" if is_kind else str(error)) from None


def _key_fields(stream: Stream) -> tuple[str, ...]:
    """List the fields of the record that the primary key is made of; none if not of these alone."""
    transform = stream.transform
    if not {*transform.computed, *stream.metadata}.isdisjoint(stream.primary_key):
        return ()
    around = {*transform.constant, *(stream.parent.fields if stream.parent else ())}
    field_of = {column: name for name, column in transform.rename.items()}
    return tuple(field_of.get(name, name) for name in stream.primary_key if name not in around)


def _base_url(source: Source, templates: Templates) -> str:
    sends = source.authentication.type != "none" or bool(templates.secrets)
    try:
        url = check_url(
            templates.base_url(source.base_url),
            example="https://api.example.com/v1",
            sends_credentials=sends,
        )
        token_path = getattr(source.authentication, "token_path", "")
        if isinstance(source.authentication, OAuth2) and "://" in token_path:
            check_url(templates.base_url(token_path), example="https://login.example.com/token")
    except ValueError as error:
        raise HotjarConfigError(f"base_url of {source.name}", str(error)) from None
    return url


def _header(name: str, value: str) -> str:
    try:
        return check_header_value(value.strip())
    except ValueError as error:
        raise HotjarConfigError(f"header {name}", str(error)) from None
