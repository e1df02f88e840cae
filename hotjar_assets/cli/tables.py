"""Tables in a terminal: what a sync did, the scores, the rows of a stream."""

import json
from typing import Any

import click

from hotjar_assets.config import Settings


def print_table(summary: dict[str, Any], names: dict[str, str]) -> None:
    """Print what a sync did, a line for each survey."""
    from rich.console import Console  # noqa: PLC0415 - `--json` does without
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, expand=True)
    table.add_column("survey", no_wrap=True, max_width=14)
    table.add_column("name", no_wrap=True, ratio=1)
    columns = ("rows", "new", "updated", "deleted", "requests")
    for column in columns:
        table.add_column(column, justify="right", min_width=len(column))
    order = list(names)
    partitions = sorted(
        summary["partitions"].items(),
        key=lambda item: order.index(item[0]) if item[0] in names else len(order),
    )
    for survey_id, figures in partitions:
        is_failed = figures["status"] == "failed"
        cells = ["-" if figures[name] is None else str(figures[name]) for name in columns]
        title = f"{'FAILED ' if is_failed else ''}{names.get(survey_id, '')}"
        table.add_row(Text(survey_id), Text(title), *cells)
    Console().print(table)
    done = [figures for figures in summary["partitions"].values() if figures["rows"] is not None]
    click.echo(
        f"{summary['surveys']} surveys, {sum(figures['rows'] for figures in done)} responses, "
        f"{sum(figures['new'] for figures in done)} new, {summary['requests']} requests, "
        f"{summary['seconds']:.1f} s"
    )


def print_scores(settings: Settings) -> None:
    """Print the scores that the dbt models made."""
    from rich.console import Console  # noqa: PLC0415 - the demo alone prints them
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from hotjar_assets.warehouse.scores import read_scores  # noqa: PLC0415

    table = Table(box=None, expand=True)
    table.add_column("survey", no_wrap=True, ratio=3)
    for column in ("NPS ± (n)", "CSAT % ± (n)"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("top tags", no_wrap=True, ratio=2)
    for scores in read_scores(
        settings.database_path, lock_timeout_seconds=settings.lock_timeout_seconds
    ):
        table.add_row(
            Text(scores.name),
            _score(scores.nps, scores.nps_margin, scores.nps_answers, "+.0f"),
            _score(scores.csat, scores.csat_margin, scores.csat_answers, ".0f"),
            Text(", ".join(scores.tags)),
        )
    Console().print(table)


def _score(score: float | None, margin: float | None, answers: int, form: str) -> str:
    return "" if score is None else f"{score:{form}} ± {margin:.0f} ({answers})"


def print_rows(types: dict[str, str], rows: list[tuple[Any, ...]]) -> None:
    """Print the rows of a stream, one below the other."""
    from rich.console import Console  # noqa: PLC0415 - `--json` does without
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console()
    for number, row in enumerate(rows, start=1):
        table = Table(box=None, show_header=False, title=f"row {number}", title_justify="left")
        for (column, kind), value in zip(types.items(), row, strict=True):
            cell = value if isinstance(value, str) else json.dumps(value, default=str)
            shown = Text(cell, no_wrap=True, overflow="ellipsis")
            table.add_row(Text(column, "bold"), Text(kind, "dim"), shown)
        console.print(table)
