"""The page about streams says what the models say, and shows the examples as they are."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from hotjar_assets.api.limits import (
    DEFAULT_LIMITS,
    MAX_CURSOR_LENGTH,
    MAX_DEPTH,
    MAX_RECORD_BYTES,
    MIB,
)
from hotjar_assets.api.pagination import MAX_EMPTY_PAGES, MAX_REPEATED_PAGES
from hotjar_assets.api.retries import MAX_TRIES
from hotjar_assets.api.transport import (
    CONNECT_TIMEOUT_SECONDS,
    MAX_DOWNLOAD_SECONDS,
    MAX_EXCHANGE_SECONDS,
    MAX_REDIRECTS,
    READ_TIMEOUT_SECONDS,
)
from hotjar_assets.config import Settings, environment_variable
from hotjar_assets.errors import HotjarSourceError
from hotjar_assets.streams import spec
from hotjar_assets.streams.checks import MAX_VALUES
from hotjar_assets.streams.formats import MAX_CSV_COLUMNS
from hotjar_assets.streams.loading import MAX_FILE_BYTES, load_source
from hotjar_assets.streams.tables import MAX_REPEATED_BYTES
from hotjar_assets.warehouse.row_expressions import MAX_SQL_LENGTH
from hotjar_assets_tests.streams.conftest import EXAMPLES


@pytest.fixture(scope="module")
def page(project):
    return (project / "docs" / "streams.md").read_text(encoding="utf-8")


def test_examples_are_shown_as_they_are(page):
    shown = re.findall(r"(?s)```yaml\n(.*?)```", page)
    assert sorted(shown) == sorted(path.read_text("utf-8") for path in EXAMPLES.glob("*.yaml"))


def models():
    return [
        model
        for model in vars(spec).values()
        if isinstance(model, type)
        and issubclass(model, BaseModel)
        and model.__module__ == spec.__name__
    ]


@pytest.mark.parametrize("model", models(), ids=lambda model: model.__name__)
def test_every_field_is_explained(model, page):
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", page))))
    assert {field.alias or name for name, field in model.model_fields.items()} <= words


def test_mistake_is_answered_as_the_page_says(page):
    text = (EXAMPLES / "shop.yaml").read_text("utf-8").replace("pagination:", "pagnation:")
    with pytest.raises(HotjarSourceError) as caught:
        load_source(Path("streams/shop.yaml"), text)
    assert f"    {caught.value}\n" in page


LIMITS = {
    "memory of one answer": f"{DEFAULT_LIMITS.answer_mb} MiB",
    "a CSV or JSON lines that are": f"{DEFAULT_LIMITS.export_mb} MiB",
    "columns of a table": DEFAULT_LIMITS.columns,
    "memory of DuckDB": f"{Settings.model_fields['max_commit_mb'].default} MB",
    "waiting for a database": f"{Settings.model_fields['lock_timeout_seconds'].default} s",
    "waiting where the API": f"{spec.Source.model_fields['max_wait_seconds'].default} s",
    "requests a minute": spec.Source.model_fields["requests_per_minute"].default,
    "parents read at once": spec.Source.model_fields["concurrency"].default,
    "the API keeps silent": f"{READ_TIMEOUT_SECONDS:g} s",
    "a whole answer": f"{MAX_EXCHANGE_SECONDS:g} s",
    "an answer that is read": f"{MAX_DOWNLOAD_SECONDS:g} s",
    "connecting": f"{CONNECT_TIMEOUT_SECONDS:g} s",
    "tries of a request": MAX_TRIES,
    "redirects of a request": MAX_REDIRECTS,
    "one record or line": f"{MAX_RECORD_BYTES // MIB} MiB",
    "levels of nesting": MAX_DEPTH,
    "length of a cursor": MAX_CURSOR_LENGTH,
    "columns of a CSV": MAX_CSV_COLUMNS,
    "empty pages in a row": MAX_EMPTY_PAGES,
    "pages in a row that": MAX_REPEATED_PAGES,
    "values of the parent": f"{MAX_REPEATED_BYTES // 1024} KiB",
    "length of a `computed`": MAX_SQL_LENGTH,
    "size of a YAML file": f"{MAX_FILE_BYTES // MIB} MiB",
    "values in a YAML file": MAX_VALUES,
}


def test_the_limits_are_those_of_the_code(page):
    table = page.partition("| limit | is |")[2].partition("\n\n")[0]
    rows = re.findall(r"(?m)^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", table)
    found = {
        next((name for name in LIMITS if what.startswith(name)), what): value
        for what, value, _ in rows
    }
    assert found == {name: str(value) for name, value in LIMITS.items()}
    settable = {words.strip("`") for _, _, words in rows} - {"fixed"}
    known = {*spec.Source.model_fields, *map(environment_variable, Settings.model_fields)}
    assert settable <= known
    assert len(settable) == 10


def test_the_timeouts_of_a_source_are_those_of_a_request():
    fields = spec.Source.model_fields
    assert fields["read_timeout_seconds"].default == READ_TIMEOUT_SECONDS
    assert fields["answer_timeout_seconds"].default == MAX_EXCHANGE_SECONDS


def test_page_is_linked(project):
    assert "(docs/streams.md)" in (project / "README.md").read_text(encoding="utf-8")
