"""Syncs of streams that are killed: the next one gives exactly the rows of the API."""

import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from hotjar_assets.streams.spec import Source
from hotjar_assets_tests.api.scripted_server import Reply, ScriptedServer, Sent, error, json_reply
from hotjar_assets_tests.browser.dagster_dev import clean_environment
from hotjar_assets_tests.promises.processes import PROJECT, kill
from hotjar_assets_tests.promises.stream_worker import StreamWorker
from hotjar_assets_tests.streams.conftest import EXAMPLES
from hotjar_assets_tests.streams.servers import Helpdesk, serving
from hotjar_assets_tests.streams.store import StreamStore, source_of

pytestmark = pytest.mark.slow

PAGE_ROWS = 3
PAGES = {"type": "page", "parameter": "page"}
STREAMS: list[dict[str, Any]] = [
    {
        "name": "orders",
        "path": "/orders",
        "primary_key": ["id"],
        "pagination": PAGES,
        "incremental": {"cursor": "version", "parameter": "since"},
    },
    # Without a key the table is replaced whole, and so are the notes of an order.
    {"name": "log", "path": "/log", "pagination": PAGES},
    {
        "name": "notes",
        "path": "/orders/{{ parent.id }}/notes",
        "pagination": PAGES,
        "parent": {"stream": "orders", "fields": {"order_id": "id"}},
    },
]
Unit = tuple[str, int | None]
Rows = Counter[tuple[Any, ...]]


class Api:
    """Orders that change, a log of which only the last lines are kept, and notes of each order."""

    def __init__(self) -> None:
        self.version = 0
        self.orders: dict[int, dict[str, Any]] = {}
        self.notes: dict[int, list[dict[str, Any]]] = {}
        self.log: list[dict[str, Any]] = []
        for number in range(5):
            self.change(number)

    def change(self, number: int) -> None:
        self.version += 1
        self.orders[number] = {"id": number, "version": self.version}
        notes = self.notes.setdefault(number, [])
        self.notes[number] = [*notes[-3:], {"text": f"note {self.version}"}, {"text": "same"}]
        self.log = [*self.log[-6:], {"line": f"{self.version}"}]

    def __call__(self, sent: Sent) -> Reply:
        match sent.path.split("/")[1:]:
            case ["orders"]:
                since = int(sent.query.get("since", 0))
                rows = [each for each in self.orders.values() if each["version"] >= since]
            case ["log"]:
                rows = self.log
            case ["orders", number, "notes"]:
                rows = self.notes[int(number)]
            case _:
                return error(404)
        begin = (int(sent.query["page"]) - 1) * PAGE_ROWS
        return json_reply(rows[begin : begin + PAGE_ROWS])

    def wanted(self) -> dict[Unit, Rows]:
        """Return what the tables must hold, by what is committed whole."""
        notes = {
            ("notes", number): Counter((note["text"],) for note in notes)
            for number, notes in self.notes.items()
        }
        orders = Counter((each["id"], each["version"]) for each in self.orders.values())
        return notes | {
            ("orders", None): orders,
            ("log", None): Counter((each["line"],) for each in self.log),
        }


def held(store: StreamStore) -> dict[Unit, Rows]:
    """Return what the tables hold."""
    found: dict[Unit, Rows] = {}
    there = {name for (name,) in store.query("SELECT table_name FROM duckdb_tables()")}
    for name, columns in {"orders": "id, version", "log": "line"}.items():
        if name in there:
            found[name, None] = Counter(store.query(f"SELECT {columns} FROM acme.{name}"))
    notes = store.query("SELECT order_id, text FROM acme.notes") if "notes" in there else []
    for number, text in notes:
        found.setdefault(("notes", number), Counter())[text,] += 1
    return found


def spooled(store: StreamStore) -> list[Path]:
    """List what waits to be stored."""
    return [*store.path.with_name(f".{store.path.name}.spool").glob("*")]


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def source(api: Api) -> Iterator[Source]:
    with ScriptedServer() as server:
        server.answers_always(api)
        yield source_of(server.url, *STREAMS)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("is_first", [True, False], ids=["the first sync", "a later sync"])
def test_after_a_kill_at_any_request_or_statement_the_next_sync_gives_every_row_once(
    api, source, tmp_path, is_first
):
    """Before the first, the third, … of a first sync, and before the others of a later one."""
    begin, store = tmp_path / "begin.duckdb", StreamStore(tmp_path / "warehouse.duckdb")
    before: dict[Unit, Rows] = {}
    with StreamWorker() as worker:
        if not is_first:
            assert not worker.sync(source, begin)
            before = api.wanted()
            for number in (0, 3, 5):
                api.change(number)
        wanted = api.wanted()
        for kill_at in count(1 if is_first else 2, 2):
            store.path.unlink(missing_ok=True)
            if begin.exists():
                shutil.copy(begin, store.path)
            is_killed = worker.sync(source, store.path, kill_at=kill_at)
            now = held(store)
            assert before.keys() <= now.keys()
            for unit, rows in now.items():
                assert rows in (before.get(unit, Counter()), wanted[unit]), (kill_at, unit)
            assert not worker.sync(source, store.path)
            assert held(store) == wanted, kill_at
            assert spooled(store) == []
            if not is_killed:
                break
    # Each stream has requests and statements of its own.
    assert kill_at > 30


def test_after_a_killed_run_of_dagster_the_next_run_gives_every_row_once(tmp_path):
    """`dagster job execute`, killed in the middle of the comments."""
    desk, reached = Helpdesk(), threading.Event()
    asked = count(1)

    def api(sent: Sent) -> Reply:
        if sent.path.endswith("comments") and next(asked) == 20:
            reached.set()
        return desk(sent)

    (tmp_path / "streams").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "streams" / "helpdesk.yaml").symlink_to(EXAMPLES / "helpdesk.yaml")
    command = [sys.executable, "-m", "dagster", "job", "execute"]
    command += ["-m", "hotjar_assets.definitions", "-j", "helpdesk_job"]
    store = StreamStore(tmp_path / "warehouse.duckdb")
    with serving(api) as server:
        environ = clean_environment(
            **desk.environment(server.url),
            DAGSTER_HOME=str(tmp_path / "home"),
            HOTJAR_DATABASE=str(store.path),
            PYTHONPATH=str(PROJECT),
        )

        def start() -> "subprocess.Popen[str]":
            return subprocess.Popen(
                command,
                cwd=tmp_path,
                env=environ,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )

        killed = start()
        assert reached.wait(100)
        kill(killed)
        assert killed.returncode == -signal.SIGKILL
        assert spooled(store) != []
        desk.add_comment("T/12 é")
        again = start()
        _, errors = again.communicate(timeout=100)
        assert again.returncode == 0, errors
    wanted = sorted(
        (ticket, each["number"], each["text"])
        for ticket, comments in desk.comments.items()
        for each in comments
    )
    columns = "ticket_id, number, text"
    assert store.query(f"SELECT {columns} FROM helpdesk.comments ORDER BY ALL") == wanted
    assert store.query("SELECT count(*), count(DISTINCT id) FROM helpdesk.tickets") == [(45, 45)]
    assert spooled(store) == []
