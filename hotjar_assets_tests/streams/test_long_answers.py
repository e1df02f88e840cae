"""Long answers of CSV and JSON lines: kept on the disk, read in parts, in bounded memory."""

import gzip
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from tempfile import SpooledTemporaryFile
from typing import Any

import pytest
import requests

from hotjar_assets.api import deadlines
from hotjar_assets.api.limits import MIB, Limits
from hotjar_assets.errors import HotjarApiError, HotjarLimitError, HotjarSchemaError
from hotjar_assets.streams.formats import iter_parts
from hotjar_assets.streams.sync import StreamSync
from hotjar_assets.streams.tables import StreamTable
from hotjar_assets_tests.api.scripted_server import Reply, Sent
from hotjar_assets_tests.streams.servers import serving
from hotjar_assets_tests.streams.store import StreamStore, source_of

ROWS = 8000
TEXT = "x" * 1000


def csv_body(rows: int = ROWS) -> bytes:
    return b"id,text\n" + b"".join(b"%d,%s\n" % (n, TEXT.encode()) for n in range(rows))


def jsonl_body(rows: int = ROWS) -> bytes:
    return b"".join(b'{"id": %d, "text": "%s"}\n' % (n, TEXT.encode()) for n in range(rows))


def export(url: str, kind: str, **fields: Any):
    stream = {"name": "rows", "path": "/export", "format": kind, "primary_key": ["id"], **fields}
    return source_of(url, stream)


def answering(body: bytes) -> Callable[[Sent], Reply]:
    return lambda _: Reply(body)


def read(client) -> Iterator[dict[str, Any]]:
    for page in client.iter_pages(client.source.streams[0]):
        yield from page.records


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("csv", csv_body),
        ("jsonl", jsonl_body),
        ("csv", lambda: gzip.compress(csv_body(), 1)),
        ("jsonl", lambda: gzip.compress(jsonl_body(), 1)),
    ],
    ids=["CSV", "JSON lines", "CSV in gzip", "JSON lines in gzip"],
)
def test_every_row_of_a_long_answer_is_read_in_parts(connect, kind, body):
    with serving(answering(body())) as server:
        client = connect(export(server.url, kind), {})
        parts = [page.records for page in client.iter_pages(client.source.streams[0])]
    ids = [int(record["id"]) for part in parts for record in part]
    assert ids == list(range(ROWS))
    assert max(map(len, parts)) <= 1100
    assert parts[-1][-1]["text"] == TEXT
    assert [sent.path for sent in server.sent] == ["/export"]


def test_a_long_answer_is_stored_whole(tmp_path, connect):
    store = StreamStore(tmp_path / "warehouse.duckdb")
    body = csv_body(34_000)
    with serving(answering(body)) as server:
        client = connect(export(server.url, "csv"), {})
        table = StreamTable.of(client.source, "rows")
        assert not StreamSync(client, table).run(store.warehouse).failed
    # As long as this, an answer that is held in memory is refused.
    assert len(body) > Limits().answer_bytes
    assert store.query("SELECT count(*), count(DISTINCT id) FROM acme.rows") == [(34_000, 34_000)]
    assert len(server.sent) == 1


@pytest.mark.parametrize(("kind", "body"), [("csv", csv_body), ("jsonl", jsonl_body)])
def test_the_memory_does_not_grow_with_the_answer(kind, body):
    with SpooledTemporaryFile(MIB) as file:
        file.write(body())
        tracemalloc.start()
        try:
            rows = sum(len(part) for part in iter_parts(file, kind))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert rows == ROWS
    assert peak < 5 * MIB


def test_a_long_answer_is_kept_in_the_spool_without_a_name(connect, tmp_path):
    store = StreamStore(tmp_path / "warehouse.duckdb")
    seen: list[list[str]] = []
    with serving(answering(csv_body(3000))) as server:
        client = connect(export(server.url, "csv"), {})
        with store.warehouse.spool() as folder:
            pages = client.iter_pages(client.source.streams[0], folder=folder)
            next(pages)
            seen.append(sorted(path.name for path in folder.iterdir()))
            pages.close()
        table = StreamTable.of(client.source, "rows")
        assert not StreamSync(client, table).run(store.warehouse).failed
    assert seen == [[]]
    assert store.query("SELECT count(*) FROM acme.rows") == [(3000,)]
    assert len(server.sent) == 2


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("csv", csv_body(2000) + b"7\n", "row 2001: has 1 cells, the header 2"),
        ("jsonl", jsonl_body(2000) + b"{broken\n", "line 2001"),
        ("csv", gzip.compress(csv_body(3000), 1)[:-9], "gzip that is cut off or damaged"),
        ("csv", csv_body(2000) + b"7,\xff\n", "is not utf-8 text; name its `encoding`"),
        ("jsonl", json.dumps([{"a": TEXT}] * 2000).encode(), "is a list and not an object"),
        ("jsonl", json.dumps([{"a": TEXT}] * 2000, indent=1).encode(), "declare `format: json`"),
        ("jsonl", json.dumps([{"a": TEXT}] * 17_000).encode(), "declare `format: json`"),
        ("csv", b"PK\x03\x04" + bytes(2 * MIB), "is a ZIP archive or an Excel workbook"),
    ],
    ids=["cells", "broken line", "cut gzip", "encoding", "JSON", "indented", "long", "ZIP"],
)
def test_what_is_wrong_in_a_long_answer_is_told_once(connect, kind, body, words):
    with serving(answering(body)) as server:
        client = connect(export(server.url, kind), {})
        with pytest.raises(HotjarApiError) as caught:
            list(read(client))
    text = str(caught.value)
    assert words in text
    assert f"GET {server.url}/export" in text
    assert "streams test acme.rows" in text
    assert TEXT not in text
    assert len(server.sent) == 1


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_long_answer_has_a_limit_that_is_a_setting(connect, packed):
    body = csv_body(3000)
    with serving(answering(gzip.compress(body) if packed else body)) as server:
        source = export(server.url, "csv")
        client = connect(source, {}, limits=Limits(export_mb=2))
        with pytest.raises(HotjarLimitError, match=r"HOTJAR_MAX_EXPORT_MB is 2"):
            list(read(client))
        enough = connect(source, {}, limits=Limits(export_mb=3, answer_mb=1))
        assert len(list(read(enough))) == 3000
    assert len(server.sent) == 2


class _Watched(io.BytesIO):
    """A file that knows whether it was let go of: a reader of text flushes what it gives back."""

    is_let_go = False

    def read1(self, size: int | None = -1, /) -> bytes:
        self.is_let_go = False
        return super().read1(size)

    def flush(self) -> None:
        self.is_let_go = True
        super().flush()


def test_an_answer_is_let_go_of_while_its_error_is_still_held():
    file = _Watched(csv_body(3000))
    with pytest.raises(HotjarLimitError) as held:
        list(iter_parts(file, "csv", limits=Limits(export_mb=2)))
    assert file.is_let_go
    file.close()
    assert "HOTJAR_MAX_EXPORT_MB is 2" in str(held.value)


def test_a_filter_and_flatten_reach_every_part(connect):
    lines = [{"id": n, "open": n % 2 == 0, "of": {"name": f"n{n}"}, "t": TEXT} for n in range(3000)]
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    with serving(answering(body)) as server:
        fields = {"records": "$[?@.open == true]", "flatten": ["of"]}
        client = connect(export(server.url, "jsonl", **fields), {})
        names = [record["of_name"] for record in read(client)]
    assert names == [f"n{n}" for n in range(0, 3000, 2)]
    assert len(server.sent) == 1


def test_a_page_of_a_stream_with_pages_is_still_bounded(connect):
    pagination = {"pagination": {"type": "page", "parameter": "page"}}
    with serving(answering(csv_body(3000))) as server:
        client = connect(export(server.url, "csv", **pagination), {}, limits=Limits(answer_mb=1))
        with pytest.raises(HotjarLimitError, match="HOTJAR_MAX_ANSWER_MB"):
            list(read(client))
    assert len(server.sent) == 1


def test_the_records_of_a_short_answer_come_as_before(connect):
    with serving(answering(b"id,text\n1,a\n")) as server:
        client = connect(export(server.url, "csv"), {})
        assert list(read(client)) == [{"id": "1", "text": "a"}]
        with pytest.raises(HotjarSchemaError):
            list(read(connect(export(server.url, "jsonl"), {})))
    assert [sent.path for sent in server.sent] == ["/export", "/export"]


def test_the_timeouts_of_the_yaml_are_those_of_the_request(connect, monkeypatch):
    given: list[Any] = []
    send = requests.adapters.HTTPAdapter.send

    def noted(adapter: Any, request: Any, **options: Any) -> Any:
        given.append(options["timeout"][1])
        return send(adapter, request, **options)

    def deadline(seconds: float) -> Any:
        given.append(seconds)
        return deadlines.deadline_after(seconds)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", noted)
    monkeypatch.setattr("hotjar_assets.api.transport.deadline_after", deadline)
    with serving(answering(b"[]")) as server:
        source = source_of(
            server.url,
            {"name": "rows", "path": "/rows"},
            read_timeout_seconds=7,
            answer_timeout_seconds=70,
        )
        assert list(read(connect(source, {}))) == []
    assert given == [70, 7]
    assert [sent.path for sent in server.sent] == ["/rows"]
