"""The API, or who sits between, sends a small answer that becomes a large one.

Compressed, nested, wide or long, it would take gigabytes once it is parsed. `api/limits` holds: an
answer is weighed before it is parsed, and a sync stays within 350 MB whatever is sent.
"""

import gzip
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from hotjar_assets.api.decoding import decode_response_page
from hotjar_assets.api.exports import iter_export_pages
from hotjar_assets.api.limits import DEFAULT_LIMITS, Limits
from hotjar_assets.errors import HotjarLimitError, HotjarSchemaError
from hotjar_assets_tests.api.model import response_row, survey_row
from hotjar_assets_tests.api.scripted_server import Reply, ScriptedServer

MIB = 1024 * 1024
PEAK_MB = 350
PROGRAM = """
import sys
from hotjar_assets.cli import main
try:
    main(sys.argv[1:])
finally:
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print("peak in kB:", peak.split()[1], file=sys.stderr)
"""


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
    ],
    ids=["depth", "rows", "unknown-fields"],
)
def test_a_page_that_no_api_sends_is_refused(body, match):
    with pytest.raises((HotjarSchemaError, ValueError), match=match):
        decode_response_page(body)


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


def test_an_export_of_very_many_columns_is_refused():
    content = ",".join(f"c{number}" for number in range(5_000)).encode() + b"\n"
    with pytest.raises(HotjarLimitError, match="HOTJAR_MAX_COLUMNS"):
        list(iter_export_pages(zipped(content), None))


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


@pytest.mark.parametrize(
    "name",
    ["lists", *(pytest.param(name, marks=pytest.mark.slow) for name in PAGES if name != "lists")],
)
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
    assert status == 1, said
    assert "Traceback" not in said
