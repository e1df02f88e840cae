"""`streams` and `infer-schema`: any other API, described in YAML."""

import sys
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import click

from hotjar_assets.cli.common import BAD_USAGE, FAILED, exit_for, read_settings
from hotjar_assets.cli.interrupts import watched
from hotjar_assets.cli.output import echo, echo_json, echo_lines
from hotjar_assets.cli.tables import print_rows
from hotjar_assets.config import Settings, given_limits, given_pii, streams_folder
from hotjar_assets.errors import HotjarConfigError, HotjarError
from hotjar_assets.printable import counted


@click.group()
def streams() -> None:
    """Any other API, described in YAML: try a stream, reload it, get the schema for editors."""


@streams.command("test")
@click.argument("name")
@click.option("--file", type=click.Path(path_type=Path), help="YAML file; default: the folder.")
@click.option("--limit", type=click.IntRange(1, 1000), default=5, show_default=True, help="Rows.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def try_stream(*, name: str, file: Path | None, limit: int, as_json: bool) -> None:
    """Show the requests of the stream NAME, or SOURCE.NAME, and its first rows; store nothing."""
    # No other command needs these.
    from hotjar_assets.api.limits import Limits  # noqa: PLC0415
    from hotjar_assets.privacy import Privacy  # noqa: PLC0415
    from hotjar_assets.streams.loading import (  # noqa: PLC0415
        StreamsFolder,
        load_folder,
        load_source,
    )
    from hotjar_assets.streams.reading import SourceClient  # noqa: PLC0415
    from hotjar_assets.streams.trial import find_stream, iter_rows  # noqa: PLC0415
    from hotjar_assets.warehouse.expressions import preview  # noqa: PLC0415 - DuckDB loads with it

    requests: list[dict[str, Any]] = []

    def note(request: Any) -> None:
        requests.append(vars(request))
        if not as_json:
            echo(f"{request.method} {request.url}")
            for header, value in request.headers.items():
                echo(f"  {header}: {value}")
            if request.body:
                echo()
                echo(f"  {request.body}")
            echo()

    try:
        found = StreamsFolder({file: load_source(file)}) if file else load_folder(streams_folder())
        source, stream = find_stream(found, name)
        privacy = Privacy.from_settings(given_pii())
        # Of no rows, it tells whether what is computed can be, before any request.
        preview(source, stream, [], privacy)
        client = SourceClient(
            source,
            on_request=note,
            on_unusable=_print_unusable,
            limits=Limits.of(given_limits()),
        )
    except HotjarConfigError as error:
        exit_for(error)
    try:
        shown = preview(source, stream, list(islice(iter_rows(client, stream), limit)), privacy)
    except HotjarError as error:
        echo(" ".join(str(error).split()), err=True)
        sys.exit(FAILED)
    finally:
        client.close()
    if as_json:
        rows = [dict(zip(shown.types, row, strict=True)) for row in shown.rows]
        summary = {"requests": requests, "columns": shown.types, "rows": rows}
        echo_json(summary)
    else:
        print_rows(shown.types, shown.rows)
        echo(
            f"{counted(len(shown.rows), 'row')} of {source.name}.{stream.name}; nothing was stored"
        )


def _print_unusable(answer: Any) -> None:
    echo(f"HTTP {answer.status}", err=True)
    lines = [f"{name}: {value}" for name, value in answer.headers.items()]
    for line in (*lines, *answer.begin.splitlines()):
        echo(f"  {line}", err=True)


@streams.command("reload")
@click.argument("name")
def reload_streams(*, name: str) -> None:
    """Read all of NAME again and replace its table: a stream, SOURCE.NAME, or every one of SOURCE.

    Each table is replaced in one transaction; after a failure it is as it was. Rows that are gone
    from the API, and columns that you added, are gone from the table too.
    """
    with watched() as interrupts:
        settings = read_settings(needs_account=False)
        from hotjar_assets.streams.loading import load_folder  # noqa: PLC0415 - as above
        from hotjar_assets.streams.trial import find_streams  # noqa: PLC0415

        try:
            found = find_streams(load_folder(streams_folder()), name)
        except HotjarConfigError as error:
            exit_for(error)
        for source, stream in found:
            try:
                echo(_reload(source, stream, settings))
            except HotjarConfigError as error:
                exit_for(error)
            except HotjarError as error:
                problem = f"{source.name}.{stream.name} is as it was: {error}"
                echo(" ".join(problem.split()), err=True)
                sys.exit(FAILED)
            except KeyboardInterrupt:
                echo(f"Interrupted: {source.name}.{stream.name} is as it was.", err=True)
                sys.exit(interrupts.exit_code)


def _reload(source: Any, stream: Any, settings: Settings) -> str:
    """Replace the table of a stream; return what became of it."""
    from hotjar_assets.api.limits import Limits  # noqa: PLC0415 - as above
    from hotjar_assets.privacy import Privacy  # noqa: PLC0415
    from hotjar_assets.streams.reading import SourceClient  # noqa: PLC0415
    from hotjar_assets.streams.sync import StreamSync  # noqa: PLC0415
    from hotjar_assets.streams.tables import StreamTable  # noqa: PLC0415
    from hotjar_assets.warehouse import Warehouse  # noqa: PLC0415
    from hotjar_assets.warehouse.expressions import check_expressions  # noqa: PLC0415

    limits = Limits.of(settings)
    table = StreamTable.of(source, stream.name, Privacy.from_settings(settings))
    check_expressions(table)
    warehouse = Warehouse(
        settings.database_path,
        lock_timeout_seconds=settings.lock_timeout_seconds,
        max_commit_mb=settings.max_commit_mb,
    )
    with closing(SourceClient(source, limits=limits)) as client:
        stored = StreamSync(client, replace(table, max_columns=limits.columns)).reload(warehouse)
    rows = sum(figures.rows for _, figures in stored.walks.values())
    gone = f", {counted(len(stored.gone), 'parent')} gone" if stored.gone else ""
    return f"{source.name}.{stream.name}: replaced by {counted(rows, 'row')}{gone}"


@streams.command("schema")
def stream_schema() -> None:
    """Print the JSON Schema by which editors complete the YAML."""
    from hotjar_assets.streams.editor import source_schema  # noqa: PLC0415 - others do without

    echo_lines(source_schema(), nl=False)


@click.command("infer-schema")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--records", "path", metavar="JSONPATH", help="Where the records are: $.data[*]")
@click.option("--format", "kind", type=click.Choice(["json", "jsonl", "csv"]), help="Not guessed.")
@click.option("--flatten", metavar="FIELD", multiple=True, help="As in the stream.")
def infer(*, file: str, path: str | None, kind: Any, flatten: tuple[str, ...]) -> None:
    """Print the `schema:` of the sample records in FILE (- is stdin), to paste into a stream."""
    from hotjar_assets.streams.inference import sample_records, schema_yaml  # noqa: PLC0415

    try:
        with click.open_file(file, "rb") as sample:
            records = sample_records(sample.read(), kind=kind, path=path, flatten=flatten)
    except (ValueError, HotjarError) as error:
        echo(f"{file}: {' '.join(str(error).split())}", err=True)
        sys.exit(BAD_USAGE)
    if not any(records):
        echo(f"{file}: holds no record; give a sample with some", err=True)
        sys.exit(BAD_USAGE)
    echo_lines(schema_yaml(records), nl=False)
