"""Text from a respondent, an API or a file name commands the terminal, a log or Dagster's UI.

It holds escape sequences, marks that reverse or hide text, and line breaks. All of it passes
`hotjar_assets.printable`: on the terminal by `cli/output.py`, in logs by `get_logger`, in messages
by `HotjarError`, in what Dagster records by `as_failure` and the metadata.
"""

import ast
import errno
import html
import json
import logging
import os
import pty
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
import requests
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from hotjar_assets.cli import main
from hotjar_assets.defs.streams import _require_printable
from hotjar_assets.errors import HotjarApiError, HotjarConfigError, HotjarError, HotjarStoreError
from hotjar_assets.printable import (
    MAX_CHARACTERS,
    PrintableFormatter,
    get_logger,
    is_printable,
    make_printable,
    printable,
    printable_json,
    printable_lines,
)
from hotjar_assets.resources import as_failure
from hotjar_assets.runs import local_instance
from hotjar_assets.sandbox import Fault, SandboxAccount, SandboxServer
from hotjar_assets_tests.api.scripted_server import Reply, ScriptedServer, json_reply
from hotjar_assets_tests.dagster.model import CLOCK, environment, query
from hotjar_assets_tests.report.model import stored

HOSTILE = (
    "A\x1b[38;2;66;66;66mB\x1b]8;;http://evil.example\x1b\\C\x1b]52;c;ZXZpbA==\x07D\x9b31mE\x9d0;t\x9c"
    "F\x08\x7f\x00G\r\nH\tI\x85J\u2028K\u2029L\u202egnp.M\u2066N\u2069O\u200fP\u061cQ\u200bR\ufeffS"
    "\U000e0041\U000e007fT\u200dU\u00adV\x1bPq\x1b\\W\x1b[2J\x1bc"
)
"""Every kind of character that commands, reverses, hides or breaks a line."""
READABLE = (
    "Zoë 株式会社　ひかり שלום مرحبا \u0600 می\u200cخواهم 👩\u200d💻 ❤\ufe0f e\u0301 "  # noqa: RUF001 - Persian
    "[link=x] — `|` <b>"
)
"""Ordinary text of many scripts, which stays as it is."""
KEPT = set("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
"""Visible signs of Arabic, Syriac and Kaithi that Unicode counts among the format characters."""
PAINT = re.compile(r"\x1b\[(?:\?25[lh]|[12]K|1A|[0-9;]*m)|\r\n|\r")
"""What the program itself sends for colours and its progress bar."""


def unsafe(text: str) -> set[str]:
    """Return what may not be shown, by its category in Unicode; line breaks are looked at apart."""
    return {
        char
        for char in text
        if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        and char not in KEPT | {"\n", "\u200c", "\u200d"}
    }


def strings(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from strings(list(value))
        yield from strings(list(value.values()))
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)


# --- The function --------------------------------------------------------------------------------


def test_every_character_of_unicode_is_judged():
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        category = unicodedata.category(char)
        if category in {"Cc", "Cf", "Cs", "Zl", "Zp"} and char not in KEPT:
            assert re.fullmatch(r"\\([nrt]|x..|u.{4}|U.{8})", printable(char)), hex(code)
        elif category in {"Lu", "Ll", "Nd", "Mn", "Mc", "Sm", "Sc", "Po", "Zs"}:
            assert printable(char) == char, hex(code)


@given(st.text(st.characters() | st.sampled_from(HOSTILE + READABLE)) | st.text(HOSTILE))
def test_what_is_shown_is_one_safe_line(text):
    shown = printable(text)
    assert not unsafe(shown)
    assert "\n" not in shown
    assert printable(shown) == shown
    assert is_printable(shown)
    assert is_printable(text) == (shown == text)
    assert len(shown) <= MAX_CHARACTERS
    shown.encode()


@given(st.text(st.sampled_from(HOSTILE + READABLE + '"\\')))
def test_json_reads_back_the_same_and_is_one_safe_line(text):
    line = printable_json({text: [text]})
    assert json.loads(line) == {text: [text]}
    assert not unsafe(line)
    assert "\n" not in line


def test_ordinary_text_stays_readable():
    assert printable(READABLE) == READABLE
    assert printable_lines(f"{READABLE}\n  {READABLE}\n") == f"{READABLE}\n  {READABLE}\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31m", r"a\x1b[31m"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x9b1m\x00", r"\x9b1m\x00"),
        ("\u202etxt", r"\u202etxt"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("ad\u200dmin", r"ad\u200dmin"),
        ("👩\u200d\u200d💻", "👩\u200d\\u200d💻"),
        ("\u200d👩", "\\u200d👩"),
    ],
)
def test_what_is_replaced_is_told_by_its_escape(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize("text", ["x" * 1_000_000, "\x1b" * 1_000_000, "\x1b[31m" * 500])
def test_a_long_value_is_cut_and_says_how_long_it_was(text):
    shown = printable(text)
    assert len(shown) == MAX_CHARACTERS
    assert shown.endswith(f"… ({len(text)} characters)")


# --- Messages, logs and what Dagster records -----------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        HotjarError(HOSTILE),
        HotjarConfigError(f"HOTJAR_{HOSTILE}", HOSTILE),
        HotjarApiError(HOSTILE).locate(method="GET", url=f"http://x/{HOSTILE}", request_id=HOSTILE),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_text_of_an_error_is_one_safe_line(error):
    assert not unsafe(str(error))
    assert "\n" not in str(error)
    assert r"\x1b[38;2" in str(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError(HOSTILE),
        KeyError(HOSTILE),
        OSError(2, HOSTILE, HOSTILE),
        requests.ConnectionError(requests.ConnectionError(HOSTILE)),
        duckdb.ConversionException(HOSTILE),
        dg.Failure(HOSTILE),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_text_of_another_package_is_safe_too(error):
    outer = RuntimeError("outer")
    outer.__cause__ = error
    error.__context__ = outer
    make_printable(outer)
    assert not unsafe(str(error))
    assert str(outer) == "outer"


def test_a_log_line_is_one_safe_line_and_keeps_its_numbers(caplog):
    logger = get_logger("hotjar_assets.attacked")
    assert len(get_logger("hotjar_assets.attacked").filters) == 1
    logger.warning("%s has %d rows, %r, %.1f %%", HOSTILE, 7, HotjarError(HOSTILE), 1.5)
    (line,) = caplog.messages
    assert not unsafe(line)
    assert "\n" not in line
    assert "has 7 rows" in line


def test_a_line_of_another_package_is_shown_safely():
    error = ValueError(HOSTILE)
    raised = (type(error), error, None)
    record = logging.LogRecord("x", 30, "f", 1, "%s", (HOSTILE,), raised)
    text = PrintableFormatter("%(levelname)s: %(message)s").format(record)
    assert not unsafe(text)
    assert text.splitlines()[0].startswith("WARNING: A\\x1b")
    assert text.splitlines()[1].startswith("ValueError: A\\x1b")


@pytest.mark.parametrize("ours", [True, False])
def test_dagster_records_no_control_character_of_an_error_or_its_cause(ours):
    @dg.asset
    def attacked() -> None:
        with as_failure():
            cause = ValueError(HOSTILE)
            raise (HotjarStoreError(HOSTILE) if ours else RuntimeError(HOSTILE)) from cause

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([attacked], instance=instance, raise_on_error=False)
        assert not result.success
        assert not recorded(instance)


def recorded(instance: dg.DagsterInstance) -> dict[str, str]:
    """Return what Dagster recorded of all runs that may not be shown."""
    found: dict[str, str] = {}
    for run in instance.get_runs():
        for entry in instance.all_logs(run.run_id):
            for text in strings(json.loads(entry.to_json())):
                # Configuration is JSON in JSON.
                inner = strings(json.loads(text)) if text.startswith('{"') else [text]
                found |= {repr(each)[:300]: run.run_id for each in inner if unsafe(each)}
    return found


def test_a_key_that_cannot_be_read_does_not_become_a_partition():
    with pytest.raises(HotjarStoreError, match="2 rows of shop/orders have control"):
        _require_printable(["1", HOSTILE, "a\nb", READABLE], dg.AssetKey(["shop", "orders"]))


# --- The program, in a terminal ------------------------------------------------------------------


def in_terminal(*arguments: str, cwd: Path, **variables: str) -> tuple[int, str]:
    """Run the program with a pseudo-terminal as stdout and stderr; return what it shows."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [Path(sys.executable).with_name("hotjar-assets"), *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=cwd,
        env={
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "COLUMNS": "400",
            **variables,
        },
    )
    os.close(slave)
    shown = b""
    try:
        while chunk := os.read(master, 65_536):
            shown += chunk
    except OSError as error:
        # What Linux says when the program has closed its end.
        if error.errno != errno.EIO:
            raise
    os.close(master)
    return process.wait(timeout=60), shown.decode()


def hostile_account() -> SandboxAccount:
    account = SandboxAccount(clock=CLOCK, blueprints=())
    question = {"id": HOSTILE, "text": HOSTILE, "type": "single-option", "is_required": True}
    open_question = {"id": "q2", "text": HOSTILE, "type": "long-text", "is_required": True}
    choices = [{"text": HOSTILE, "allow_comment": False}]
    for survey_id in ("101", "102", "103"):
        account.add_survey(
            HOSTILE + READABLE,
            survey_id=survey_id,
            url=f"https://shop.example/{HOSTILE}",
            questions=[question | {"choices": choices}, open_question],
        )
        answer = {"question_id": HOSTILE, "answer": HOSTILE, "tags": [{"name": HOSTILE}]}
        for number in range(3):
            fields: dict[str, Any] = {HOSTILE: HOSTILE, "id": f"{number}{HOSTILE}"}
            said = answer | {"question_id": "q2", "answer": f"{number}{HOSTILE}{READABLE}"}
            account.add_responses(survey_id, answers=[answer, said], **fields)
    return account


@pytest.mark.slow
def test_a_sync_shows_and_records_nothing_that_commands(tmp_path, monkeypatch):
    home = tmp_path / "home"
    with SandboxServer(hostile_account()) as server:
        body = json.dumps({"error": HOSTILE, "message": HOSTILE}).encode()
        server.faults.add(
            Fault("raw_body", path="responses", survey_id="102", status=400, body=body),
            Fault(
                "mutate_rows",
                path="responses",
                survey_id="103",
                transform=lambda rows: [
                    {**row, HOSTILE: 1, "created_time": HOSTILE} for row in rows
                ],
            ),
        )
        variables = environment(server, tmp_path / "ro\x1b[31mws\u202e.duckdb")
        code, shown = in_terminal(
            "sync", "--no-models", cwd=tmp_path, DAGSTER_HOME=str(home), **variables
        )
    assert code == 1, shown
    assert r"survey 102 (A\x1b[38;2;66;66;66mB" in shown
    assert "the API did not understand the request" in shown
    assert r"\x1b[38;2;66;66;66mB" in shown
    assert not unsafe(PAINT.sub("", shown)), shown
    assert "38;2;66;66;66m" not in re.sub(r"\\x1b\[38;2;66;66;66m", "", shown)
    assert shown.count("\n") < 25
    # The values themselves are stored as they came.
    (database,) = tmp_path.glob("*.duckdb")
    assert query(database, "SELECT DISTINCT name FROM hotjar.surveys") == [
        ((HOSTILE + READABLE).replace("\x00", "\ufffd"),)
    ]
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with local_instance() as instance:
        assert instance.get_runs()
        assert not recorded(instance)
    logs = [path for path in home.rglob("compute_logs/*") if path.is_file()]
    assert logs
    for path in logs:
        # Dagster keeps what a step writes to stderr, which may be the bar.
        assert not unsafe(PAINT.sub("", path.read_text(encoding="utf-8"))), path


# --- The program, in this process ----------------------------------------------------------------


def run(*arguments: str, stdin: bytes | None = None, **variables: Any) -> Result:
    result = CliRunner().invoke(main, arguments, env=variables, input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert not unsafe(result.output)
    return result


PATH = HOSTILE.replace("\x00", "").replace("/", "")
"""As far as a file name may hold it."""


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        ((f"sy{PATH}nc",), 4),
        ((f"--{PATH}",), 4),
        (("sync", f"--{PATH}"), 4),
        (("sync", "--lookback", PATH), 4),
        (("sync", PATH), 4),
        (("import", PATH, "--survey", "1"), 4),
        # The second line tells of the instance that was made.
        (("import", __file__, "--survey", PATH), 2),
        (("infer-schema", PATH), 4),
        (("streams", PATH), 4),
        (("sandbox", "--port", PATH), 4),
        (("sandbox", "--host", PATH), 1),
        (("streams", "test", PATH), 1),
        (("streams", "test", "x", "--file", PATH), 1),
    ],
    ids=lambda value: str(value)[:40].encode("unicode_escape").decode(),
)
def test_what_an_error_quotes_of_the_arguments_is_one_line(arguments, lines):
    result = run(*arguments)
    assert result.exit_code == 2
    assert len(result.output.splitlines()) == lines, result.output


@pytest.mark.parametrize(
    "name",
    ["SITE_ID", "API_URL", "PLATFORM", "SOURCE", "OWNERS", "PII", "START_DATE", "LOOKBACK_DAYS"],
)
def test_what_an_error_quotes_of_a_setting_is_one_line(name):
    # An environment variable cannot hold NUL.
    account = {"HOTJAR_CLIENT_ID": "x", "HOTJAR_CLIENT_SECRET": "x", "HOTJAR_SITE_ID": "1"}
    variables: dict[str, Any] = {"HOTJAR_SANDBOX": None, **account, f"HOTJAR_{name}": PATH}
    result = run("check", **variables)
    assert result.exit_code == 2
    assert len(result.output.splitlines()) == 1


def test_a_folder_for_a_database_is_named_in_one_line(tmp_path):
    # A backslash is refused before.
    folder = tmp_path / PATH.replace("\\", "")
    folder.mkdir()
    result = run("check", HOTJAR_SANDBOX="1", HOTJAR_DATABASE=str(folder))
    assert result.exit_code == 2
    assert len(result.output.splitlines()) == 1
    assert "is a folder" in result.output


def test_help_keeps_its_lines():
    assert len(run("streams").output.splitlines()) > 5
    assert len(run("sync", "--help").output.splitlines()) > 5


@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_a_check_shows_no_header_and_no_body_that_commands(status, tmp_path, no_backoff):
    headers = {
        name: HOSTILE.encode("latin-1", "replace").decode("latin-1").translate({10: 32, 13: 32})
        for name in ("X-Request-Id", "Content-Type", "Server")
    }
    body = json.dumps({"error": HOSTILE, "error_description": HOSTILE}).encode()
    with ScriptedServer() as server:
        server.answers_always(Reply(body, status, headers))
        result = run(
            "check",
            HOTJAR_CLIENT_ID="id",
            HOTJAR_CLIENT_SECRET="not-told",
            HOTJAR_SITE_ID="1",
            HOTJAR_API_URL=server.url,
            HOTJAR_DATABASE=str(tmp_path / "rows.duckdb"),
        )
    assert result.exit_code == 1
    (line,) = [line for line in result.output.splitlines() if line.startswith("failed")]
    assert r"request id A\x1b[38;2" in line


@pytest.mark.parametrize("survey_id", [HOSTILE, "1\n2", "1\u202e2", "1\x9b2"], ids=ascii)
def test_a_survey_whose_id_cannot_be_read_is_refused_with_a_reason(survey_id, tmp_path):
    account = SandboxAccount(clock=CLOCK, blueprints=())
    account.add_survey(survey_id=survey_id)
    with SandboxServer(account) as server:
        variables: dict[str, Any] = {**environment(server, tmp_path / "rows.duckdb")}
        result = run("check", **variables)
    assert result.exit_code == 1
    assert "results[0].id: holds control or invisible characters" in result.output


SOURCE = """\
name: shop
base_url: {url}
streams:
  - name: orders
    path: /orders
"""
ROWS = [{"id": 1, HOSTILE: HOSTILE, "nested": {HOSTILE: [HOSTILE]}, "plain": READABLE}]


@pytest.mark.parametrize("option", ["--limit=5", "--json"])
def test_a_preview_of_a_stream_shows_cells_and_columns_safely(option):
    with ScriptedServer() as server:
        server.answers_always(json_reply(ROWS))
        file = Path(f"sh{PATH}op.yaml")
        file.write_text(SOURCE.format(url=server.url), encoding="utf-8")
        result = run("streams", "test", "orders", "--file", str(file), option, COLUMNS="300")
    assert result.exit_code == 0, result.output
    assert READABLE in result.output
    if option == "--json":
        (line,) = result.output.splitlines()
        stored = HOSTILE.replace("\x00", "\ufffd")
        assert stored in {each.replace("\x00", "\ufffd") for each in strings(json.loads(line))}
    else:
        assert r"A\x1b[38;2;66;66;66mB" in result.output
        assert len(result.output.splitlines()) == 12


def test_a_mistake_in_a_file_of_streams_is_told_in_one_line():
    file = Path(f"sh{PATH}op.yaml")
    file.write_text("name: shop\nbase_url: 'http://[\u202e'\nstr\u202eeams: []\n", encoding="utf-8")
    result = run("streams", "test", "orders", "--file", str(file))
    assert result.exit_code == 2
    assert len(result.output.splitlines()) == 1


def test_a_schema_that_is_inferred_is_safe_to_show():
    result = run("infer-schema", "-", stdin=json.dumps(ROWS).encode())
    assert result.exit_code == 0
    assert result.output.startswith("schema:\n  properties:\n    id: ")


def test_a_report_holds_no_mark_that_reverses_or_hides(tmp_path):
    database = stored(hostile_account(), tmp_path / "rows.duckdb")
    result = run("report", "--out", "page.html", HOTJAR_DATABASE=str(database))
    assert result.exit_code == 0, result.output
    page = Path("page.html").read_text(encoding="utf-8")
    assert not unsafe(page)
    assert page.count(r"\x1b[38;2;66;66;66mB") >= 3 * 3
    assert page.count(html.escape(READABLE)) >= 3 * 3


# --- No way around it ----------------------------------------------------------------------------


def ways_around(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield where a module writes to the terminal or makes a logger by itself."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Name):
            names = [node.id]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            names = [ast.unparse(node)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            names = [ast.unparse(node)] if node.func.attr == "getLogger" else []
        yield from ((node.lineno, name) for name in names if WAYS.match(name))  # type: ignore[attr-defined]


WAYS = re.compile(
    r"print$|pprint|rich(\.|$)|click\.(echo|secho|style|edit|pause|prompt|confirm|progressbar)"
    r"|sys\.(__)?std(out|err)(__)?\.(write|buffer)|os\.write$|warnings\.warn$"
    r"|logging\.(getLogger\(__name__\)|debug|info|warning|error|exception|critical)"
)


@pytest.mark.parametrize(
    "source",
    [
        "print('x')",
        "import click\nclick.echo('x')",
        "from click import echo",
        "from rich.console import Console",
        "import rich",
        "import sys\nsys.stderr.write('x')",
        "import logging\nlogger = logging.getLogger(__name__)",
        "import logging\nlogging.warning('x')",
        "import functools\nsay = functools.partial(print, flush=True)",
        "import warnings\nwarnings.warn('x')",
    ],
)
def test_a_new_way_around_is_found(source):
    assert list(ways_around(ast.parse(source)))


def test_no_module_writes_past_the_one_that_does(project):
    texts = {
        path.relative_to(project).as_posix(): path.read_text(encoding="utf-8")
        for path in (project / "hotjar_assets").rglob("*.py")
    }
    found = {
        path: list(ways_around(ast.parse(text)))
        for path, text in texts.items()
        # Parsing is slow, and most modules have none of these words.
        if re.search(r"print\b|rich|click|stdout|stderr|logging|warnings|os\.write", text)
    }
    assert [path for path, ways in found.items() if ways] == ["hotjar_assets/cli/output.py"]
