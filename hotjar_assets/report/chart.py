"""Draws a survey's trend with matplotlib, as SVG in the colours and the font of the page around it.

Colours are drawn as placeholders that become custom properties of the page's style, so that one
picture serves the light page, the dark one and the printed one. Texts stay texts.
"""

import io
import math
import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, MaxNLocator

from hotjar_assets.report.scores import FEWEST_ANSWERS, Measure, measures
from hotjar_assets.warehouse.summaries import Period, PeriodName, Survey

_INKS = {"#010101": "--bar", "#020202": "--accent", "#030303": "--muted", "#040404": "--line"}
_BAR, _SCORE, _TEXT, _GRID = _INKS
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 8.5,
    "text.color": _TEXT,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _TEXT,
    "xtick.color": _TEXT,
    "ytick.color": _TEXT,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
}
_WIDTH_INCHES = 9.2
_LEFT, _RIGHT = 0.05, 0.95
_FEWEST_PERIODS = 14


def period_end(starts_on: date, period: PeriodName) -> date:
    """Return the first day after a period."""
    if period == "month":
        return (starts_on + timedelta(days=31)).replace(day=1)
    return starts_on + timedelta(days=7 if period == "week" else 1)


def score_of(period: Period, name: str) -> Measure | None:
    """Return the score of this name in a period, if enough people gave an answer."""
    found = (each for each in measures(period.counts) if each.name == name)
    measure = next(found, None)
    return measure if measure and measure.score.answers >= FEWEST_ANSWERS else None


def trend(survey: Survey, *, main: Measure | None, until: date) -> str:
    """Draw the responses of each period and, below them, the main score.

    Args:
        survey: A survey with a response.
        main: Its main score, if it has any.
        until: The last day of which everything is known; the bar of a period that goes on after it
            is pale.

    Returns:
        An <svg>, to stand in a page that has the properties of the style.
    """
    scored = [(period, score_of(period, main.name)) for period in survey.periods if main]
    drawn = sum(measure is not None for _, measure in scored) > 1
    heights = [1.0, 1.15] if drawn else [1.0]
    # Names inside a picture follow from the salt: two pictures of one page must not share any.
    with rc_context({**_STYLE, "svg.hashsalt": survey.survey_id}):
        high = 1.35 * sum(heights)
        figure = Figure(figsize=(_WIDTH_INCHES, high))
        # By hand, it takes half the time of a layout that measures every text.
        edges = {"left": _LEFT, "right": _RIGHT, "top": 1 - 0.25 / high, "bottom": 0.3 / high}
        rows = figure.subplots(
            len(heights),
            sharex=True,
            squeeze=False,
            gridspec_kw={"height_ratios": heights, "hspace": 0.34, **edges},
        )[:, 0]
        _draw_responses(rows[0], survey, until)
        if drawn and main:
            _draw_score(rows[1], scored, main, survey.period)
        _label_days(rows[-1], survey)
        written = io.StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    return _for_page(written.getvalue())


def _draw_responses(axes: Axes, survey: Survey, until: date) -> None:
    first = survey.periods[0].starts_on
    last = period_end(survey.periods[-1].starts_on, survey.period) - timedelta(days=1)
    months = dict.fromkeys(f"{day:%b %Y}" for day in (first, last))
    _title(axes, f"Responses a {survey.period}, {' to '.join(months)}")
    boxes: dict[float, list[Path]] = {1.0: [], 0.4: []}
    for period in survey.periods:
        end = period_end(period.starts_on, survey.period)
        left, right = date2num(period.starts_on), date2num(end)
        gap = 0.12 * (right - left)
        corners = [(left + gap, 0), (left + gap, period.responses)]
        corners += [(right - gap, period.responses), (right - gap, 0), (left + gap, 0)]
        boxes[0.4 if end > until else 1.0].append(Path(corners, closed=True))
    for alpha, paths in boxes.items():
        if paths:
            whole = Path.make_compound_path(*paths)
            axes.add_patch(
                PathPatch(whole, facecolor=_BAR, linewidth=0, alpha=alpha, clip_on=False)
            )
    axes.set_ylim(0, max(period.responses for period in survey.periods) * 1.05)
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.0f}"))


def _draw_score(
    axes: Axes,
    scored: Sequence[tuple[Period, Measure | None]],
    main: Measure,
    period_name: PeriodName,
) -> None:
    _title(axes, f"{main.name} a {period_name}, with its 95 % interval")
    days, values, low, high = [], [], [], []
    least, most = main.limits
    for period, measure in scored:
        end = period_end(period.starts_on, period_name)
        days.append((date2num(period.starts_on) + date2num(end)) / 2)
        # What is not a number breaks the line, and the ground behind it.
        value = measure.score.value if measure else math.nan
        margin = (measure.score.margin if measure else None) or 0.0
        values.append(value)
        low.append(max(value - margin, least))
        high.append(min(value + margin, most))
    axes.fill_between(days, low, high, color=_SCORE, alpha=0.16, linewidth=0, clip_on=False)
    axes.plot(days, values, color=_SCORE, linewidth=1.5, clip_on=False)
    shown = [(day, measure) for day, (_, measure) in zip(days, scored, strict=True) if measure]
    day, measure = shown[-1]
    axes.plot([day], [measure.score.value], "o", color=_SCORE, markersize=4, clip_on=False)
    axes.annotate(
        measure.text,
        (day, measure.score.value),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        color=_SCORE,
        fontweight="bold",
        annotation_clip=False,
    )
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.margins(y=0.08)


def _title(axes: Axes, text: str) -> None:
    edge = -_LEFT / (_RIGHT - _LEFT)
    axes.set_title(text, loc="left", x=edge, fontsize=8.5, color=_TEXT, pad=5)


def _label_days(axes: Axes, survey: Survey) -> None:
    first, last = survey.periods[0].starts_on, survey.periods[-1].starts_on
    end = date2num(period_end(last, survey.period))
    # A single bar would be as wide as the picture, and its hours would be told.
    fewest = _FEWEST_PERIODS * (end - date2num(last))
    axes.set_xlim(min(date2num(first), end - fewest), end)
    locator = AutoDateLocator(minticks=2, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        ConciseDateFormatter(
            locator,
            formats=["%Y", "%b", "%d %b", "", "", ""],
            zero_formats=["", "%Y", "%d %b", "", "", ""],
            show_offset=False,
        )
    )
    for row in axes.figure.axes:
        row.tick_params(left=False, bottom=False)
        row.grid(axis="y")
        row.set_axisbelow(True)


def _for_page(svg: str) -> str:
    svg = re.sub(r"(?s)^.*?(?=<svg)|<metadata>.*?</metadata>|<style.*?</style>", "", svg)
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]+)"[^>]*>', r'<svg viewBox="\1">', svg, count=1)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    svg = re.sub(r"<!--.*?-->|\n\s*", " ", svg)
    for placeholder, name in _INKS.items():
        svg = svg.replace(placeholder, f"var({name})")
    return svg
