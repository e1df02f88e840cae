"""The API, or who sits between, sends a small answer that becomes a large one.

Compressed, nested, wide or long, it would take gigabytes once it is parsed. `api/limits` holds: an
answer is weighed before it is parsed, and a sync stays within 350 MB whatever is sent.
"""

import gzip
import io
import json
import os
import struct
import subprocess
import sys
import threading
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from hotjar_assets.api.client import HotjarClient
from hotjar_assets.api.decoding import decode_response_page
from hotjar_assets.api.exports import iter_export_pages
from hotjar_assets.api.limits import (
    DEFAULT_LIMITS,
    MAX_CURSOR_LENGTH,
    Limits,
    OneAtATime,
    memory_of,
)
from hotjar_assets.api.pagination import iter_pages
from hotjar_assets.api.records import Answer, Page, Response
from hotjar_assets.errors import HotjarLimitError, HotjarSchemaError
from hotjar_assets.spool import ResponseSpool
from hotjar_assets.warehouse.database import OutOfMemoryError, _store_error
from hotjar_assets_tests.api.model import response_row, survey_row
from hotjar_assets_tests.api.scripted_server import Reply, ScriptedServer, Sent, json_reply

MIB = 1024 * 1024
PEAK_MB = 350
INSTANT = datetime(2026, 1, 31, tzinfo=UTC)
SURVEY = json_reply(survey_row("42"))
PROGRAM = """
import sys
from hotjar_assets.cli import main
try:
    main(sys.argv[1:])
finally:
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print("peak in kB:", peak.split()[1], file=sys.stderr)
"""


def client_of(api: ScriptedServer) -> HotjarClient:
    return HotjarClient(
        api.url,
        client_id="client",
        client_secret="word",
        site_ids=("1",),
        requests_per_minute=1_000_000,
    )


def many(item: bytes, number: int) -> bytes:
    return b"[" + b",".join([item] * number) + b"]"


def page_with(field: str, value: bytes) -> bytes:
    row = json.dumps(response_row(**{field: "HERE"})).encode()
    return b'{"results":[' + row.replace(b'"HERE"', value) + b'],"next_cursor":null}'


# --- Weighing ------------------------------------------------------------------------------------

HEAVY = {
    "lists": many(b"[]", 3_000_000),
    "objects": many(b"{}", 3_000_000),
    "one-letter-texts": many(b'"a"', 1_600_000),
    "zeros": b"[" + b"0," * 8_000_000 + b"0]",
    "nested": b"[" * 2_000_000 + b"]" * 2_000_000,
    "one-object": b"{" + b",".join(b'"%d":0' % number for number in range(1_600_000)) + b"}",
    "same-key": b"{" + b'"a":0,' * 1_600_000 + b'"a":0}',
    "separators-in-texts-too": b'[",,,,",' + b"[],[]," * 1_000_000 + b"0]",
}


@pytest.mark.parametrize("body", HEAVY.values(), ids=HEAVY)
def test_an_answer_of_many_values_is_refused_unparsed(body):
    assert len(body) < DEFAULT_LIMITS.answer_bytes
    with pytest.raises(HotjarLimitError, match="HOTJAR_MAX_ANSWER_MB is 96; set it higher"):
        DEFAULT_LIMITS.check_answer(body)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps([response_row(f"r{n}", browser="Firefox, [x] {y}") for n in range(5_000)]),
        json.dumps({"text": ",[{" * 3_000_000}),
        json.dumps({"text": '\\",[]' * 1_000_000}),
    ],
    ids=["rows", "separators-in-a-text", "escaped-quotes"],
)
def test_an_ordinary_answer_is_taken(body):
    allowed = DEFAULT_LIMITS.answer_mb * MIB
    assert memory_of(body.encode(), enough=allowed) < allowed
    DEFAULT_LIMITS.check_answer(body.encode())


def test_a_limit_is_what_the_setting_says():
    body = many(b"[]", 300_000)
    DEFAULT_LIMITS.check_answer(body)
    with pytest.raises(HotjarLimitError, match="HOTJAR_MAX_ANSWER_MB is 8"):
        Limits(answer_mb=8).check_answer(body)


@pytest.mark.parametrize(
    ("body", "match"),
    [
        (page_with("new", b"[" * 300 + b"]" * 300), "nested too deep"),
        (json.dumps({"results": [response_row(f"r{n}") for n in range(1_001)]}).encode(), "rows"),
        (
            json.dumps({"results": [response_row(**{f"n{n}": 1 for n in range(5_000)})]}).encode(),
            "fields",
        ),
        (
            page_with("answers", many(b"{}", 301)),
            r"results\[0\].answers: is too long; .* 300 items",
        ),
        (page_with("answers", many(b'{"answer":"a"}', 301)), "300 items"),
        (page_with("user_attributes", many(b'{"name":"a","value":1}', 301)), "300 items"),
        (page_with("answers", b'[{"tags":' + many(b'"a"', 301) + b"}]"), "300 items"),
    ],
    ids=["depth", "rows", "unknown-fields", "objects", "answers", "attributes", "tags"],
)
def test_a_page_that_no_api_sends_is_refused(body, match):
    with pytest.raises((HotjarSchemaError, ValueError), match=match):
        decode_response_page(body)


def test_a_listing_is_weighed_as_a_whole():
    def endless(sent: Sent) -> Reply:
        number = int(sent.query.get("cursor", "0"))
        rows = [survey_row(f"s{number}-{n}", name="x" * 1000) for n in range(20)]
        return json_reply({"results": rows, "next_cursor": str(number + 1)})

    with ScriptedServer() as api:
        api.answers_always(endless)
        client = HotjarClient(
            api.url,
            client_id="client",
            client_secret="word",
            site_ids=("1",),
            requests_per_minute=1_000_000,
            limits=Limits(answer_mb=1),
        )
        with pytest.raises(HotjarLimitError, match=r"surveys of site 1: .* HOTJAR_MAX_ANSWER_MB"):
            client.list_surveys()
        client.close()
        assert len(api.data_requests) < 30


@pytest.mark.parametrize("length", [MAX_CURSOR_LENGTH + 1, 5 * MIB])
def test_a_cursor_that_is_too_long_to_be_sent_ends_the_listing(length):
    with pytest.raises(HotjarLimitError, match="the next cursor: is too long to be sent") as caught:
        list(iter_pages(lambda _cursor: Page([], "c" * length, {})))
    assert caught.value.page == 1


def test_large_answers_are_handled_one_after_the_other():
    inside, order = OneAtATime(), []
    began = threading.Event()

    def other() -> None:
        with inside.walking():
            began.set()
            inside.enter()
            order.append("other")

    with inside.walking():
        inside.enter()
        inside.after_request()
        thread = threading.Thread(target=other)
        thread.start()
        began.wait()
        order.append("first")
        inside.leave()
    thread.join()
    assert order == ["first", "other"]


def test_a_request_outside_of_a_walk_holds_up_no_other():
    inside = OneAtATime()
    inside.enter()
    inside.after_request()
    done = threading.Thread(target=inside.enter)
    done.start()
    done.join(timeout=60)
    assert not done.is_alive()


# --- Exports -------------------------------------------------------------------------------------


def zipped(content: bytes, names: int = 1) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(names):
            archive.writestr(f"{number}.csv", content)
    return file


@pytest.mark.parametrize(
    "content",
    [
        b"Number,Date Submitted\n" + b"1,2026-01-31 09:00:00\n" * 200_000,
        b'Number,Date Submitted\n1,"' + b"x" * 3 * MIB,
    ],
    ids=["rows", "open-quote"],
)
def test_an_export_that_unpacks_to_more_than_the_limit_is_refused(content):
    with pytest.raises(HotjarLimitError, match="HOTJAR_MAX_EXPORT_MB is 2"):
        list(iter_export_pages(zipped(content), None, limits=Limits(export_mb=2)))


def test_an_export_of_blank_lines_is_given_up_long_before_its_end():
    content = b"Number,Date Submitted\n" + b"\n" * 3 * MIB
    with pytest.raises(HotjarLimitError, match="line 10004: comes after too many blank lines"):
        list(iter_export_pages(zipped(content), None))


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=["bzip2", "lzma"])
def test_an_export_packed_so_that_a_few_bytes_unpack_to_gigabytes_is_not_unpacked(kind):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as archive:
        archive.writestr("a.csv", b"Number,Date Submitted\n" + b"\0" * 10 * MIB)
    assert len(file.getvalue()) < 20_000
    with pytest.raises(HotjarSchemaError, match="is packed in an unusual way"):
        list(iter_export_pages(file, None))


def test_a_zip_of_very_many_files_is_refused_before_they_are_listed():
    begin, directory = b"PK\x03\x04" + bytes(26), b"PK\x01\x02" + bytes(42)
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 46 * 65_535, 30, 0)
    with pytest.raises(HotjarLimitError, match="ZIP: holds too many files"):
        list(iter_export_pages(io.BytesIO(begin + directory * 65_535 + end), None))


def test_an_export_of_very_many_rows_in_no_order_is_refused(monkeypatch):
    monkeypatch.setattr("hotjar_assets.api.export_rows.MAX_UNSORTED_ROWS", 3)
    rows = "".join(f"{number},2026-01-31 09:00:00\n" for number in (1, 3, 2, 4))
    file = io.BytesIO(b"Number,Date Submitted\n" + rows.encode())
    with pytest.raises(HotjarLimitError, match="sort it by Number"):
        list(iter_export_pages(file, None))


def test_rows_of_one_number_are_found_in_whichever_part_they_are_compared(monkeypatch):
    monkeypatch.setattr("hotjar_assets.api.export_rows._ROWS_COMPARED", 2)
    numbers = [*range(20, 0, -1), *range(21, 31)]
    rows = [f"{number},2026-01-31 09:00:00" for number in numbers]
    text = "\n".join(["Number,Date Submitted", *rows])
    (page,) = iter_export_pages(io.BytesIO(text.encode()), None)
    assert len(page.results) == 30
    for number in (1, 20, 30):
        differs = f"{text}\n{number},2026-01-31 10:00:00"
        with pytest.raises(HotjarSchemaError, match="line 32, column Number"):
            list(iter_export_pages(io.BytesIO(differs.encode()), None))


def test_pages_of_an_export_end_by_their_length_too():
    rows = [f'{number},2026-01-31 09:00:00,"{"x" * MIB}"\n' for number in range(12, 0, -1)]
    file = io.BytesIO(("Number,Date Submitted,Why\n" + "".join(rows)).encode())
    pages = [len(page.results) for page in iter_export_pages(file, None)]
    assert sum(pages) == 12
    assert max(pages) <= 4


def test_an_export_of_very_many_columns_is_refused():
    content = ",".join(f"c{number}" for number in range(5_000)).encode() + b"\n"
    with pytest.raises(HotjarLimitError, match="HOTJAR_MAX_COLUMNS"):
        list(iter_export_pages(zipped(content), None))


# --- What is stored ------------------------------------------------------------------------------


def test_a_segment_ends_by_what_its_rows_take_and_not_by_their_number_alone(tmp_path):
    spool = ResponseSpool(tmp_path, "1")
    long = [Response(f"a{n}", INSTANT, answers=[Answer(answer="x" * MIB)]) for n in range(60)]
    spool.write(long)
    many = [Response(f"b{n}", INSTANT, answers=[Answer() for _ in range(290)]) for n in range(900)]
    spool.write(many)
    spool.close()
    rows = [segment.rows for segment in spool.segments]
    assert sum(rows) == 960
    assert max(rows[:2]) <= 24
    assert max(rows) < 500
    assert max(segment.longest for segment in spool.segments) < 2 * MIB


def test_a_row_that_is_too_long_to_be_stored_is_refused(tmp_path):
    spool = ResponseSpool(tmp_path, "1")
    with pytest.raises(HotjarLimitError, match="is too long; the limit is 8 MiB"):
        spool.write([Response("a", INSTANT, answers=[Answer(answer="x" * 9 * MIB)])])
    spool.discard()


def test_rows_of_a_few_long_lines_are_stored(store, monkeypatch):
    """DuckDB's parallel reader refuses such a file."""
    text = "x" * 300_000
    rows = [
        response_row(f"r{n}", answers=[{"question_id": "q", "answer": text}]) for n in range(99)
    ]
    with ScriptedServer() as api:
        api.answers(SURVEY, json_reply({"results": rows, "next_cursor": None}))
        monkeypatch.setattr(store, "client", client_of(api))
        figures = store.sync_one("42").figures
        store.client.close()
    assert figures.new == 99
    with duckdb.connect(store.path) as connection:
        sizes = connection.execute(
            "SELECT DISTINCT length(answers[1].answer) FROM hotjar.survey_responses"
        ).fetchall()
    assert sizes == [(300_000,)]


def test_a_commit_that_has_too_little_memory_while_it_commits_is_tried_with_more():
    text = "TransactionContext Error: Failed to commit: failed to pin block of size 256.0 KiB"
    error = _store_error(duckdb.TransactionException(text), Path("rows.duckdb"))
    assert isinstance(error, OutOfMemoryError)
    other = _store_error(duckdb.TransactionException("Conflict"), Path("rows.duckdb"))
    assert not isinstance(other, OutOfMemoryError)


def test_the_error_of_a_walk_holds_none_of_its_pages(store, monkeypatch):
    with ScriptedServer() as api:
        rows = [response_row(f"r{n}") for n in range(50)]
        api.answers(SURVEY, json_reply({"results": [*rows, {"id": "without a time"}]}))
        monkeypatch.setattr(store, "client", client_of(api))
        error = store.sync_one("42").error
        store.client.close()
    assert isinstance(error, HotjarSchemaError)
    assert (error.__traceback__, error.__context__, error.__cause__) == (None, None, None)


# --- A whole sync --------------------------------------------------------------------------------

STREAM = """
name: acme
base_url: "{{{{ url }}}}"
parameters: [{{name: url, required: true}}]
streams: [{{name: things, path: /things, format: {kind}, primary_key: [id]}}]
"""


def peak_mb(folder: Path, *arguments: str, **variables: str) -> tuple[float, int, str]:
    """Run the command line; return the most memory it took, its exit code and its stderr."""
    environment = {"PATH": os.environ["PATH"], "DAGSTER_HOME": str(folder), **variables}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    *said, peak = done.stderr.strip().splitlines()
    assert peak.startswith("peak in kB:"), done.stderr
    return int(peak.split()[-1]) / 1024, done.returncode, "\n".join(said)


def compressed(body: bytes) -> Reply:
    return Reply(gzip.compress(body, 9), headers={"Content-Encoding": "gzip"})


PAGES = {
    "lists": page_with("new", many(b"[]", 3_000_000)),
    "answers": page_with("answers", many(b"{}", 300_000)),
    "attributes": page_with("user_attributes", many(b'{"name":"a","value":[]}', 300_000)),
    "zeros": page_with("new", b"0" * 30 * MIB),
    "long-text": page_with("new", b'"' + b"x" * 30 * MIB + b'"'),
    "bomb": b" " * 200 * MIB,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_a_sync_stays_within_its_memory(name, tmp_path):
    with ScriptedServer() as server:
        listing = Reply(json.dumps({"results": [survey_row()], "next_cursor": None}).encode())
        responses = compressed(PAGES[name])
        server.answers_always(
            lambda sent: responses if sent.path.endswith("/responses") else listing
        )
        peak, status, said = peak_mb(
            tmp_path,
            *("sync", "--no-models", "--json"),
            HOTJAR_CLIENT_ID="client",
            HOTJAR_CLIENT_SECRET="word",
            HOTJAR_SITE_ID="1",
            HOTJAR_API_URL=server.url,
        )
        assert len(responses.body) < MIB
        assert any(sent.path.endswith("/responses") for sent in server.sent)
    assert peak < PEAK_MB
    assert status == 1, said
    assert "Traceback" not in said


STREAM_BODIES = {
    "lists": ("json", many(b"[]", 10_000_000)),
    "keys": ("json", json.dumps([{f"k{n}": n for n in range(5_000)}]).encode()),
    "blank-lines": ("jsonl", b"\n" * 30 * MIB),
    "columns": ("csv", b",".join(b"c%d" % n for n in range(1_000_000)) + b"\n"),
    "open-quote": ("csv", b'id,a\n1,"' + b"x\n" * 14 * MIB),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", STREAM_BODIES)
def test_a_preview_of_a_stream_stays_within_its_memory(name, tmp_path):
    kind, body = STREAM_BODIES[name]
    (tmp_path / "streams").mkdir()
    (tmp_path / "streams" / "acme.yaml").write_text(STREAM.format(kind=kind))
    with ScriptedServer() as server:
        server.answers_always(compressed(body))
        peak, status, said = peak_mb(tmp_path, "streams", "test", "things", ACME_URL=server.url)
        assert server.sent
    assert peak < PEAK_MB
    # Lines are read in parts, and blank ones are no records.
    assert status == (0 if name == "blank-lines" else 1), said
    assert "Traceback" not in said
