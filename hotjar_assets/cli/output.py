"""What commands write to the terminal: the only module of the command line that writes.

All text passes through `printable`, since names, ids, cells and error texts come from an API, a
respondent or a file. `echo` stands in for `click.echo`.
"""

import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

import click

from hotjar_assets.cli.interrupts import Interrupted
from hotjar_assets.printable import (
    make_printable,
    printable,
    printable_json,
    printable_lines,
)
from hotjar_assets.sync_progress import SyncProgress, repeatedly

_BAR_SECONDS = 0.2
_LINE_CHARACTERS = 20_000
"""Length of one line; a value in it is bounded by `printable`."""


def echo(message: object = "", *, nl: bool = True, err: bool = False) -> None:
    """Write one line; a line break in the message is shown as its escape.

    Args:
        message: The line.
        nl: Whether to end the line.
        err: Whether to write to stderr.
    """
    click.echo(printable(message, max_characters=_LINE_CHARACTERS), nl=nl, err=err)


def echo_lines(text: str, *, nl: bool = True) -> None:
    """Write a text of several lines, such as a file to paste."""
    click.echo(printable_lines(text), nl=nl)


def echo_json(value: Any) -> None:
    """Write a value as one line of JSON."""
    click.echo(printable_json(value))


def echo_table(
    columns: Sequence[Mapping[str, Any]],
    rows: Iterable[Sequence[object]],
    *,
    title: str = "",
    **layout: Any,
) -> None:
    """Write a table.

    Where the least widths of the columns (`min_width`) do not fit, lines are longer than the
    terminal is wide: what people copy is never cut, and nothing is where there is no terminal.

    Args:
        columns: Options of `rich.table.Table.add_column`, for each column.
        rows: The cells of each row.
        title: The line above it.
        **layout: Further options of `rich.table.Table`.
    """
    from rich.console import Console  # noqa: PLC0415 - `--json` does without
    from rich.markup import escape  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, title=escape(printable(title)) or None, **layout)
    for column in columns:
        table.add_column(**column)
    for row in rows:
        # Not as str, in which rich looks for markup: `[link=…]` would become an escape sequence.
        table.add_row(*(Text(printable(cell)) for cell in row))
    console = Console()
    least = console.measure(table, options=console.options.update(max_width=_LINE_CHARACTERS))
    console.width = max(console.width, least.minimum if console.is_terminal else least.maximum)
    console.print(table)


@contextmanager
def shown_progress(progress: SyncProgress, seconds: int) -> Iterator[None]:
    """Show on stderr what a sync has done so far: a bar in a terminal, else lines.

    Args:
        progress: What it has done.
        seconds: The pause before each line; 0 prints none.
    """
    with _kept_stderr() as stderr:
        if stderr.isatty():
            with _progress_bar(progress, stderr):
                yield
        else:
            with repeatedly(lambda: click.echo(progress.describe(), file=stderr), seconds):
                yield


@contextmanager
def _kept_stderr() -> Iterator[TextIO]:
    """Yield stderr as it is now: while a step runs, Dagster redirects it into the step's log."""
    try:
        number = os.dup(sys.stderr.fileno())
    except OSError:
        yield sys.stderr
        return
    with os.fdopen(number, "w", encoding=sys.stderr.encoding, errors="replace") as stderr:
        yield stderr


@contextmanager
def _progress_bar(progress: SyncProgress, stderr: TextIO) -> Iterator[None]:
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

    columns = (
        BarColumn(bar_width=20),
        # Without markup: the name of a survey may look like it.
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=Console(file=stderr), transient=True) as bar:
        task = bar.add_task(progress.describe(), total=None)

        def update() -> None:
            total = progress.surveys or None
            bar.update(task, description=progress.describe(), completed=progress.done, total=total)

        with repeatedly(update, _BAR_SECONDS):
            yield


class Program(click.Group):
    """A group of commands whose errors, in which click quotes arguments, are safe to show."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the arguments."""
        with _printable_errors():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _printable_errors():
            return super().invoke(ctx)


@contextmanager
def _printable_errors() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        # Where arguments are missing, the message is the help, which has several lines.
        if error.ctx and error.message == error.ctx.get_help():
            raise
        raise click.UsageError(printable(error.format_message()), error.ctx) from error
    except click.ClickException as error:
        raise click.ClickException(printable(error.format_message())) from error
    except KeyboardInterrupt as error:
        click.echo("Interrupted.", err=True)
        sys.exit(error.exit_code if isinstance(error, Interrupted) else 128 + signal.SIGINT)
    except Exception as error:
        make_printable(error)
        raise
