"""Where rows wait on disk: nobody else may read them, and nothing stays behind."""

import stat
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import pytest

from hotjar_assets.api.decoding import decode_response_page
from hotjar_assets.api.records import Response
from hotjar_assets.commits import Figures, commit_groups
from hotjar_assets.errors import HotjarError, HotjarStoreError
from hotjar_assets.readers import Read
from hotjar_assets.sandbox import Fault
from hotjar_assets.spool import ResponseSpool, Segment, spool_folder
from hotjar_assets.sync import ResponseSync

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OWNER = """
import sys
from pathlib import Path
from hotjar_assets.spool import spool_folder
with spool_folder(Path(sys.argv[1])) as folder:
    (folder / "answers.jsonl").write_text("what somebody answered")
    print(folder, flush=True)
    sys.stdin.readline()
"""


def rows(*ids: str) -> list[Response]:
    page = ",".join(f'{{"id":"{key}","created_time":"2026-01-01T00:00:00Z"}}' for key in ids)
    return decode_response_page(f'{{"results":[{page}]}}'.encode()).results


def left_behind(database: Path) -> list[Path]:
    return list((database.parent / f".{database.name}.spool").rglob("*"))


def test_the_folder_is_the_owners_alone_and_gone_afterwards(path):
    with spool_folder(path) as folder:
        assert folder.parent == path.parent / ".warehouse.duckdb.spool"
        for each in (folder, folder.parent):
            assert stat.S_IMODE(each.stat().st_mode) == 0o700
        (folder / "answers.jsonl").write_text("what somebody answered")
    assert left_behind(path) == []


def test_the_folder_is_gone_after_an_error_too(path):
    def fail() -> None:
        with spool_folder(path) as folder:
            (folder / "answers.jsonl").write_text("what somebody answered")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert left_behind(path) == []


def test_a_sync_leaves_nothing_in_the_spool(path, store, survey_id):
    store.sync(survey_id)
    assert left_behind(path) == []


def test_a_group_leaves_the_spool_once_it_is_committed(tmp_path):
    committed: list[list[str]] = []
    there: list[list[str]] = []

    def file(name: str) -> Segment:
        path = tmp_path / name
        path.write_text("what somebody answered")
        return Segment(path, 1, 100, has_duplicates=False)

    def groups() -> Generator[list[Read], None, None]:
        for names in (("a", "b"), ("c",), ("failed",)):
            reads = [Read(name, NOW, segments=[file(name), file(f"{name}-2")]) for name in names]
            if names == ("failed",):
                reads[0].error = HotjarError("no luck")
            yield reads
            there.append(sorted(path.name for path in tmp_path.iterdir()))

    def commit(reads: Sequence[Read]) -> dict[str, Figures | HotjarStoreError]:
        committed.append(sorted(path.name for path in tmp_path.iterdir()))
        return {read.key: Figures(new=1) for read in reads}

    done = [
        (read.key, str(result) if isinstance(result, HotjarError) else result.new)
        for read, result in commit_groups(groups(), commit, "surveys")
    ]
    assert done == [("a", 1), ("b", 1), ("c", 1), ("failed", "no luck")]
    assert committed == [["a", "a-2", "b", "b-2"], ["c", "c-2"], ["failed", "failed-2"]]
    assert there == [[], [], []]


def test_two_spools_of_one_database_live_side_by_side(path):
    with spool_folder(path) as first:
        with spool_folder(path) as second:
            assert first != second
            assert first.is_dir()
        assert first.is_dir()
    assert left_behind(path) == []


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_holds_is_kept(path):
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with owner:
        assert owner.stdout
        answers = Path(owner.stdout.readline().strip()) / "answers.jsonl"
        with spool_folder(path):
            assert answers.exists()
        assert answers.exists()
        owner.kill()
        owner.wait()
        assert answers.exists()
        with spool_folder(path):
            assert not answers.parent.exists()
    assert left_behind(path) == []


def test_another_databases_spool_is_left_alone(tmp_path):
    with spool_folder(tmp_path / "a.duckdb") as folder:
        with spool_folder(tmp_path / "b.duckdb"):
            pass
        assert folder.is_dir()


# --- Segments --------------------------------------------------------------------------------


def test_a_writer_makes_a_file_for_every_so_many_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("hotjar_assets.spool.SEGMENT_ROWS", 3)
    writer = ResponseSpool(tmp_path, "1")
    for page in (rows("a", "b"), rows("c", "d"), [], rows("e", "a")):
        writer.write(page)
    writer.close()
    assert [segment.rows for segment in writer.segments] == [4, 2]
    assert not any(segment.has_duplicates for segment in writer.segments)
    for segment in writer.segments:
        lines = segment.path.read_bytes().splitlines()
        assert len(lines) == segment.rows
        assert segment.longest >= max(map(len, lines))


def test_a_writer_notices_a_row_that_comes_twice_in_a_file(tmp_path):
    writer = ResponseSpool(tmp_path, "1")
    writer.write(rows("a", "b"))
    writer.write(rows("a"))
    writer.close()
    (segment,) = writer.segments
    assert segment.has_duplicates


@pytest.mark.parametrize(
    ("pages", "overlaps"),
    [
        (["ab", "cd", "ef", "gh"], False),
        (["aab", "ccd"], False),
        (["ab", "bc"], True),
        (["ab", "cd", "de"], True),
        (["ab", "cd", "ef", "fg"], True),
    ],
    ids=["none", "twice in a page", "on the next page", "in one file", "in the next file"],
)
def test_a_writer_notices_pages_that_overlap(tmp_path, monkeypatch, pages, overlaps):
    monkeypatch.setattr("hotjar_assets.spool.SEGMENT_ROWS", 6)
    writer = ResponseSpool(tmp_path, "1")
    for page in pages:
        writer.write(rows(*page))
    writer.close()
    assert writer.has_overlap is overlaps


def test_discarding_deletes_every_file(tmp_path, monkeypatch):
    monkeypatch.setattr("hotjar_assets.spool.SEGMENT_ROWS", 1)
    writer = ResponseSpool(tmp_path, "1")
    writer.write(rows("a"))
    writer.write(rows("b"))
    writer.discard()
    assert writer.segments == []
    assert list(tmp_path.iterdir()) == []


def test_a_walk_without_rows_makes_no_file(tmp_path, store, account):
    assert store.walk(account.add_survey(), tmp_path).segments == []
    assert list(tmp_path.glob("*.jsonl")) == []


def test_a_walk_that_fails_leaves_no_file(tmp_path, server, store, survey_id):
    server.faults.add(Fault("404", path="responses", page=3))
    folder = tmp_path / "spool"
    folder.mkdir()
    assert store.walk(survey_id, folder).error
    assert list(folder.iterdir()) == []


# --- Reading that is given up ------------------------------------------------------------------


def readers() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith("hotjar-reader")]


def test_giving_up_wakes_readers_that_wait_and_leaves_no_thread(
    account, server, make_client, store, monkeypatch
):
    monkeypatch.setattr("hotjar_assets.readers.GROUP_SECONDS", 0.0)
    quick, waiting = account.add_survey(), account.add_survey()
    server.faults.add(Fault("429", path="responses", survey_id=waiting, retry_after=55))
    sync = ResponseSync(make_client(sleep=None), [quick, waiting], concurrency=2)
    with store.warehouse.spool() as folder:
        groups = sync.read({}, folder)
        assert isinstance(groups, Generator)
        assert [read.survey_id for read in next(groups)] == [quick]
        assert readers()
        begun = monotonic()
        groups.close()
        # The API asked for 55 seconds.
        assert monotonic() - begun < 30
        assert readers() == []
    assert left_behind(store.path) == []


def test_giving_up_ends_a_walk_after_the_page_it_reads(
    account, server, make_client, tmp_path, monkeypatch
):
    monkeypatch.setattr("hotjar_assets.readers.GROUP_SECONDS", 0.0)
    quick, long = account.add_survey(), account.add_survey(responses=2_000)
    client = make_client(sleep=None)

    def when_given_up(page):
        client._wait._cancelled.wait(10)
        return page

    server.faults.add(
        Fault("mutate_rows", path="responses", survey_id=long, page=2, transform=when_given_up)
    )
    groups = ResponseSync(client, [quick, long], concurrency=1).read({}, tmp_path)
    assert isinstance(groups, Generator)
    assert [read.survey_id for read in next(groups)] == [quick]
    groups.close()
    assert readers() == []
    pages = [each for each in server.requests if each.path.endswith(f"/{long}/responses")]
    assert len(pages) <= 2
