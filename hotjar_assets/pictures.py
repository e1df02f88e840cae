"""The picture of a survey in Dagster's UI: responses, and the trend of its score.

The UI shows Markdown in its place only up to 1,000 characters and keeps longer texts behind a
click, so matplotlib draws here on a canvas that writes little: an SVG without ground, in colours
that can be read on a light and on a dark page. No file and no font is opened.

Imported only where a picture is drawn: matplotlib takes longer to load than a small survey to read.
"""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, Transform

from hotjar_assets.warehouse.trends import Trend

_WIDTH, _PLOT, _TEXT_SIZE = 420, 46, 11
"""Width of the picture, height of a plot in it, and of its text, in pixels."""
_BELOW, _ABOVE = 20, 26
_LONG = 100_000
"""From here on a number has more digits than there is room for."""
_GREY, _BARS, _LINE = "#888", "#49d", "#e63"


def picture(trend: Trend) -> str:
    """Draw the picture of a survey that has responses, as Markdown that is shown in its place."""
    figure = _figure(trend)
    canvas = _SmallSvg(figure)
    figure.draw(canvas)
    shown = " and ".join(["responses", str(trend.score)][: len(figure.axes)])
    return f"![{shown}](<data:image/svg+xml,{_quoted(canvas.svg())}>)"


def _quoted(svg: str) -> str:
    """Quote what a URL in Markdown's angle brackets may not hold as it is."""
    url = svg.replace("%", "%25").replace("#", "%23")
    return re.sub(r"([<>\\])", r"\\\1", url)


def _figure(trend: Trend) -> Figure:
    """Plot a trend: the responses, and above them the score where there are two to compare."""
    first = trend.spans[0].ends_on
    spans = {(span.ends_on - first).days // trend.days: span for span in trend.spans}
    last = max(spans)
    scored = {place: span for place, span in spans.items() if span.score is not None}
    plots = 2 if trend.score and len(scored) > 1 else 1
    height = _BELOW + plots * (_PLOT + _ABOVE)
    figure = Figure(figsize=(_WIDTH / 72, height / 72), dpi=72)
    figure.patch.set_visible(False)
    responses = [spans[place].responses if place in spans else 0 for place in range(last + 1)]
    unit = "a day" if trend.days == 1 else f"in {trend.days} days"
    title = f"responses {unit}: {responses[-1]:,}, {sum(responses):,} in all"
    axes = _axes(figure, title, _BARS, plot=0, last=last)
    axes.stairs(responses, fill=True, color=_BARS)
    _write_ends(axes, 0, max(responses))
    _write_days(axes, trend.begins_on or first, trend.spans[-1].ends_on, last)
    if plots > 1:
        newest = scored[max(scored)]
        title = f"{trend.score}: {newest.score:.0f} (n = {newest.answers:,})"
        axes = _axes(figure, title, _LINE, plot=1, last=last)
        scores = [float(span.score or 0) for span in scored.values()]
        axes.plot([place + 0.5 for place in scored], scores, color=_LINE)
        _write_ends(axes, min(scores), max(scores))
    return figure


def _write_days(axes: Axes, first: date, end: date, last: int) -> None:
    """Write the first day, one in the middle, and the last along the axis below."""
    middle = first + timedelta(days=(end - first).days // 2)
    places = {end: last + 1.0, middle: (last + 1) / 2, first: 0.0}
    axes.set_xticks([*places.values()], [f"{day:%d %b %Y}" for day in places])
    for label, place in zip(axes.get_xticklabels(), places.values(), strict=True):
        label.set_horizontalalignment(
            "left" if place == 0 else "right" if place > last else "center"
        )


def _axes(figure: Figure, title: str, colour: str, *, plot: int, last: int) -> Axes:
    height = figure.get_figheight() * 72
    bottom = _BELOW + plot * (_PLOT + _ABOVE)
    axes = figure.add_axes((0.1, bottom / height, 0.88, _PLOT / height), frame_on=False)
    axes.tick_params(length=0, labelsize=_TEXT_SIZE, labelcolor=_GREY)
    axes.set_title(title, loc="left", color=colour, fontsize=_TEXT_SIZE)
    axes.set_xlim(0, last + 1)
    axes.set_xticks([])
    return axes


def _write_ends(axes: Axes, least: float, most: float) -> None:
    """Write the ends of the upright axis, or its only value."""
    ends = [least, most] if round(least) != round(most) else [most]
    # Less than nothing, rounded, is written -0 else.
    texts = [f"{round(end)}" if abs(end) < _LONG else f"{end:.1e}" for end in ends]
    axes.set_yticks(ends, texts)
    axes.set_ylim(least, most if most > least else least + 1)


class _SmallSvg(RendererBase):
    """A canvas of matplotlib that writes an SVG of few characters.

    Coordinates are whole numbers, each counted from the one before, and text is in a font of the
    page's: what is written is a tenth of what matplotlib's own SVG has.
    """

    def __init__(self, figure: Figure) -> None:
        super().__init__()
        self._height = round(figure.get_figheight() * 72)
        self._shapes: list[str] = []
        self._texts: dict[str, list[str]] = {"start": [], "end": []}

    def svg(self) -> str:
        """Return what was drawn."""
        return (
            f"<svg xmlns='http://www.w3.org/2000/svg' width='{_WIDTH}' height='{self._height}' "
            f"style='font:{_TEXT_SIZE}px sans-serif' fill='{_GREY}'>{''.join(self._shapes)}"
            f"{''.join(self._texts['start'])}"
            f"<g text-anchor='end'>{''.join(self._texts['end'])}</g></svg>"
        )

    def draw_path(
        self,
        gc: GraphicsContextBase,
        path: Path,
        transform: Transform,
        rgbFace: Any = None,  # noqa: N803 - matplotlib's name
    ) -> None:
        """Draw a line, or fill what it surrounds."""
        down = transform + Affine2D().scale(1, -1).translate(0, self._height)
        steps = "".join(_steps(path, down))
        style = f"fill='none' stroke='{_short(gc.get_rgb())}' stroke-width='2'"
        if rgbFace is not None:
            style = f"fill='{_short(rgbFace)}'"
        self._shapes.append(f"<path d='{steps}' {style}/>")

    def draw_text(  # noqa: PLR0917 - matplotlib's signature
        self,
        gc: GraphicsContextBase,
        x: float,
        y: float,
        s: str,
        prop: Any,
        angle: float,  # noqa: ARG002
        ismath: Any = False,  # noqa: FBT002 - matplotlib's signature
        mtext: Any = None,
    ) -> None:
        """Write a text; it keeps the end by which it was placed, whatever its width will be."""
        anchor = "end" if mtext.get_ha() == "right" else "start"
        x += self.get_text_width_height_descent(s, prop, ismath)[0] if anchor == "end" else 0
        colour = _short(gc.get_rgb())
        fill = "" if colour == _GREY else f" fill='{colour}'"
        self._texts[anchor].append(f"<text x='{x:.0f}' y='{self._height - y:.0f}'{fill}>{s}</text>")

    def get_text_width_height_descent(
        self,
        s: str,
        prop: Any,  # noqa: ARG002
        ismath: Any,  # noqa: ARG002
    ) -> tuple[float, float, float]:
        """Guess how large a text will be: fonts are the page's."""
        return 0.55 * _TEXT_SIZE * len(s), 0.75 * _TEXT_SIZE, 0

    def get_canvas_width_height(self) -> tuple[float, float]:
        """Return the size."""
        return _WIDTH, self._height

    def flipy(self) -> bool:
        """Say that y grows upwards here."""
        return False


def _steps(path: Path, transform: Transform) -> Iterator[str]:
    """Yield the commands of an SVG path."""
    before = (0, 0)
    for point, code in path.iter_segments(transform, simplify=False, curves=False):
        if code == Path.CLOSEPOLY:
            continue
        x, y = (round(float(each)) for each in point)
        right, down = x - before[0], y - before[1]
        if code == Path.MOVETO:
            yield f"M{x} {y}"
        elif not right and down:
            yield f"v{down}"
        elif not down and right:
            yield f"h{right}"
        elif right:
            yield f"l{right} {down}".replace(" -", "-")
        before = (x, y)


def _short(colour: Any) -> str:
    """Write a colour in three digits, which those here have."""
    text = to_hex(colour)
    return "#" + text[1::2]
