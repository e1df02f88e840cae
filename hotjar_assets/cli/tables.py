"""Tables in a terminal: what a sync did, the scores, the rows of a stream."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from hotjar_assets.cli.output import echo, echo_table
from hotjar_assets.config import Settings
from hotjar_assets.printable import counted

_UNCUT_CHARACTERS = 64
_NAME_WIDTH = 20
"""Values of a stream up to this length are shown whole in the narrowest terminal: ids, hashes."""


def print_table(summary: dict[str, Any], names: dict[str, str]) -> None:
    """Print what a sync did, a line for each survey."""
    columns = ("rows", "new", "updated", "deleted", "requests")
    order = list(names)
    partitions = sorted(
        summary["partitions"].items(),
        key=lambda item: order.index(item[0]) if item[0] in names else len(order),
    )
    rows = []
    for survey_id, figures in partitions:
        is_failed = figures["status"] == "failed"
        if survey_id not in names and figures["rows"] == 0:
            # A partition that another account left.
            continue
        cells = ["-" if figures[name] is None else str(figures[name]) for name in columns]
        title = f"{'FAILED ' if is_failed else ''}{names.get(survey_id, '')}"
        rows.append((survey_id, title, *cells))
    if rows:
        echo_table(
            [
                _uncut("survey", summary["partitions"]),
                {"header": "name", "no_wrap": True, "ratio": 1, "min_width": _NAME_WIDTH},
                *({"header": name, "justify": "right", "min_width": len(name)} for name in columns),
            ],
            rows,
            expand=True,
        )
    done = [figures for figures in summary["partitions"].values() if figures["rows"] is not None]
    echo(
        f"{counted(len(rows), 'survey')}, "
        f"{counted(sum(figures['rows'] for figures in done), 'response')}, "
        f"{sum(figures['new'] for figures in done):,} new, "
        f"{counted(summary['requests'], 'request')}, "
        f"{summary['seconds']:.1f} s"
    )


def print_surveys(surveys: Sequence[Any]) -> None:
    """Print what the database holds of each survey."""
    titles = [f"{each.name or ''}{' (gone from Hotjar)' * each.is_deleted}" for each in surveys]
    uncut = {
        "survey": [each.survey_id for each in surveys],
        "platform": [each.platform or "" for each in surveys],
        "rows": [str(each.rows) for each in surveys],
        "newest response": [_minute(each.newest_response_at) for each in surveys],
        "last sync, UTC": [_minute(each.last_sync_at) for each in surveys],
    }
    survey, *others = (_uncut(header, cells) for header, cells in uncut.items())
    ids, *figures = uncut.values()
    echo_table([survey, {"header": "name"}, *others], zip(ids, titles, *figures, strict=True))


def _uncut(header: str, cells: Iterable[str]) -> dict[str, Any]:
    """Return a column of which no cell is cut or wrapped."""
    return {"header": header, "no_wrap": True, "min_width": max(map(len, (header, *cells)))}


def _minute(instant: datetime | None) -> str:
    return f"{instant:%Y-%m-%d %H:%M}" if instant else ""


def print_scores(settings: Settings) -> None:
    """Print the scores that the dbt models made."""
    from hotjar_assets.warehouse.scores import read_scores  # noqa: PLC0415

    figures = {"justify": "right", "no_wrap": True}
    scored = read_scores(settings.database_path, lock_timeout_seconds=settings.lock_timeout_seconds)
    echo_table(
        [
            {"header": "survey", "no_wrap": True, "ratio": 3},
            {"header": "NPS ± (n)", **figures},
            {"header": "CSAT % ± (n)", **figures},
            {"header": "top tags", "no_wrap": True, "ratio": 2},
        ],
        [
            (
                scores.name,
                _score(scores.nps, scores.nps_margin, scores.nps_answers, "+.0f"),
                _score(scores.csat, scores.csat_margin, scores.csat_answers, ".0f"),
                ", ".join(scores.tags),
            )
            for scores in scored
        ],
        expand=True,
    )


def _score(score: float | None, margin: float | None, answers: int, form: str) -> str:
    return "" if score is None else f"{score:{form}} ± {margin:.0f} ({answers})"


def print_rows(types: dict[str, str], rows: list[tuple[Any, ...]]) -> None:
    """Print the rows of a stream, one below the other."""
    for number, row in enumerate(rows, start=1):
        cells = [
            (column, kind, value if isinstance(value, str) else json.dumps(value, default=str))
            for (column, kind), value in zip(types.items(), row, strict=True)
        ]
        columns = [
            {"style": style, "no_wrap": True, "overflow": "ellipsis", "min_width": _width(texts)}
            for style, texts in zip(("bold", "dim", None), zip(*cells, strict=True), strict=True)
        ]
        echo_table(columns, cells, title=f"row {number}", title_justify="left", show_header=False)


def _width(texts: Iterable[str]) -> int:
    return min(max(map(len, texts)), _UNCUT_CHARACTERS)
