"""Geometry of the charts that pages draw as inline SVG: numbers in, attributes out. Knows no rows and no colours."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

WIDTH, HEIGHT = 640, 270
START, END, TOP, BOTTOM = 52, 620, 24, 220  # edges of the plotting area
POINTS_MAX = 400

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tick:
    at: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """What has two axes. All coordinates are strings, so that no locale puts a comma into an SVG attribute."""

    x_ticks: list[Tick]
    y_ticks: list[Tick]
    width: str = str(WIDTH)
    height: str = str(HEIGHT)
    start: str = str(START)
    end: str = str(END)
    top: str = str(TOP)
    bottom: str = str(BOTTOM)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineChart(Plot):
    """One line, and perhaps a second one beside it."""

    line: str
    last_x: str
    last_y: str
    last_label: str
    # Where the last value stands: beside its point, or above it where the line has reached the edge.
    label_anchor: str
    label_dx: str
    label_dy: str
    # A second line on the same axes, of few points that are shown as such.
    beside: str = ""
    beside_points: Sequence[tuple[str, str]] = ()


def line_chart(
    points: Sequence[tuple[float, float]],
    *,
    x_max: float = 0,
    beside: Sequence[tuple[float, float]] = (),
    digits: int = 3,
    x_labels: Sequence[tuple[float, str]] = (),
) -> LineChart | None:
    """A line through points that are sorted by x; None where fewer than two of them are finite.

    Args:
        x_max: where the x axis should end, such as the steps planned; the last point's x if that is further.
        beside: a second line on the same axes.
        digits: of the last value behind the point, where it is written.
        x_labels: what stands at places of the x axis, such as days, instead of round numbers.
    """
    points = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    beside = [(x, y) for x, y in beside if math.isfinite(x) and math.isfinite(y)]
    if len(points) < 2:
        return None
    last = points[-1]
    points = thinned(points)
    x_ticks = nice_ticks(0, max(x_max, last[0]))
    values = [y for _, y in (*points, *beside)]
    y_ticks = nice_ticks(min(0, *values), max(values))
    x_end = max(x_max, last[0])
    y_low, y_high = y_ticks[0], max(y_ticks[-1], *values)

    def place_x(x: float) -> str:
        return f"{START + (END - START) * x / (x_end or 1):.1f}"

    def place_y(y: float) -> str:
        return f"{BOTTOM - (BOTTOM - TOP) * (y - y_low) / ((y_high - y_low) or 1):.1f}"

    at_edge = last[0] > 0.85 * x_end
    return LineChart(
        line=" ".join(f"{place_x(x)},{place_y(y)}" for x, y in points),
        x_ticks=[Tick(place_x(x), label) for x, label in x_labels]
        or [Tick(place_x(x), f"{x:,.6g}") for x in x_ticks if x <= x_end],
        y_ticks=[Tick(place_y(y), f"{y:,.6g}") for y in y_ticks],
        last_x=place_x(last[0]),
        last_y=place_y(last[1]),
        last_label=f"{last[1]:.{digits}f}",
        label_anchor="end" if at_edge else "start",
        label_dx="4" if at_edge else "10",
        label_dy="-22" if at_edge else "5",
        beside=" ".join(f"{place_x(x)},{place_y(y)}" for x, y in beside),
        beside_points=[(place_x(x), place_y(y)) for x, y in beside],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionChart(Plot):
    """Precision over recall, and where on the line the threshold in use is, if there is one."""

    line: str
    at_x: str = ""
    at_y: str = ""


def precision_chart(curve: Sequence[tuple[float, float, float]], threshold: float | None) -> PrecisionChart | None:
    """A curve of (threshold, precision, recall), thresholds falling; None where there are fewer than two points."""
    if len(curve) < 2:
        return None

    def place(precision: float, recall: float) -> tuple[str, str]:
        return f"{START + (END - START) * recall:.1f}", f"{BOTTOM - (BOTTOM - TOP) * precision:.1f}"

    # The last that still is kept; a threshold above every score keeps nothing and is nowhere on the line.
    at = next((row for row in reversed(curve) if threshold is not None and row[0] >= threshold), None)
    at_x, at_y = place(*at[1:]) if at else ("", "")
    ticks = [number / 5 for number in range(6)]
    return PrecisionChart(
        line=" ".join(",".join(place(precision, recall)) for _, precision, recall in thinned(curve)),
        x_ticks=[Tick(place(0, x)[0], f"{x:g}") for x in ticks],
        y_ticks=[Tick(place(y, 0)[1], f"{y:g}") for y in ticks],
        at_x=at_x,
        at_y=at_y,
    )


@dataclass(frozen=True, slots=True)
class Bar:
    """One bin of a histogram: all of it, and the part of it that stands out."""

    x: str
    width: str
    y: str
    height: str
    part_y: str
    part_height: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram(Plot):
    """Bars side by side over a range of numbers."""

    bars: list[Bar]


def histogram(bins: Sequence[Sequence[int]], low: float, high: float) -> Histogram:
    """Bars for bins of equal width from low to high, each (number, part of it that stands out)."""
    step, wide = (END - START) / len(bins), (high - low) / len(bins)
    y_ticks = nice_ticks(0, max(1, *(number for number, _ in bins)))

    def place_y(number: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * number / y_ticks[-1]

    return Histogram(
        bars=[
            Bar(
                x=f"{START + place * step + 1:.1f}",
                width=f"{step - 2:.1f}",
                y=f"{place_y(number):.1f}",
                height=f"{BOTTOM - place_y(number):.1f}",
                part_y=f"{place_y(part):.1f}",
                part_height=f"{BOTTOM - place_y(part):.1f}",
                title=f"{low + place * wide:.3g} – {low + (place + 1) * wide:.3g}: {number:,} ({part:,})",
            )
            for place, (number, part) in enumerate(bins)
        ],
        x_ticks=[
            Tick(f"{START + (END - START) * (x - low) / ((high - low) or 1):.1f}", f"{x:,.6g}")
            for x in nice_ticks(low, high)
            if low <= x <= high
        ],
        y_ticks=[Tick(f"{place_y(y):.1f}", f"{y:,.6g}") for y in y_ticks if y == int(y)],
    )


ROW, LABEL_UP = 46, 10  # of an interval chart: height of a row, and how far a label stands above its line


@dataclass(frozen=True, slots=True)
class Interval:
    """One row: a point, the line of its interval (none where the bounds are not known), and its words."""

    label: str
    said: str
    y: str
    label_y: str
    x: str
    low: str = ""
    high: str = ""


@dataclass(frozen=True, slots=True)
class IntervalChart:
    """Shares from 0 to 1 with their intervals, one below the other."""

    rows: list[Interval]
    ticks: list[Tick]
    height: str
    bottom: str
    middle: str = ""  # where a line says "no difference"
    width: str = str(WIDTH)
    start: str = str(START)
    end: str = str(END)


def interval_chart(
    rows: Sequence[tuple[str, float, float | None, float | None]], *, middle: float | None = None
) -> IntervalChart | None:
    """Rows of (label, value, low, high); None for no rows."""
    if not rows:
        return None
    bottom = TOP + ROW * len(rows)

    def place(share: float) -> str:
        return f"{START + (END - START) * min(max(share, 0.0), 1.0):.1f}"

    drawn = []
    for number, (label, value, low, high) in enumerate(rows):
        y = TOP + ROW * number + ROW * 0.6
        is_known = low is not None and high is not None
        said = f"{value:.2f} ({low:.2f}–{high:.2f})" if is_known else f"{value:.2f}"
        edges = {"low": place(low), "high": place(high)} if low is not None and high is not None else {}
        drawn.append(Interval(label, said, f"{y:.1f}", f"{y - LABEL_UP:.1f}", place(value), **edges))
    return IntervalChart(
        rows=drawn,
        ticks=[Tick(place(number / 4), f"{number / 4:g}") for number in range(5)],
        height=str(bottom + 30),
        bottom=str(bottom),
        middle="" if middle is None else place(middle),
    )


@dataclass(frozen=True, slots=True)
class Whisker:
    """One line of a plot of means: the mean, its interval where there is one, and single values around it."""

    name: str
    y: str
    x: str
    label: str
    anchor: str  # of the label, which must not leave the drawing
    low: str = ""
    high: str = ""
    dots: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Whiskers:
    """Means with intervals, one under the other, on an axis that shows 0."""

    rows: list[Whisker]
    x_ticks: list[Tick]
    zero: str
    top: str
    bottom: str
    height: str
    width: str = str(WIDTH)


def whiskers(rows: Sequence[tuple[str, float, float | None, float | None, Sequence[float]]]) -> Whiskers:
    """Rows of name, mean, low, high and the single values behind the mean."""
    start, step = 190, 46
    values = [0.0]
    for _name, *numbers, singles in rows:
        values += [number for number in (*numbers, *singles) if number is not None]
    x_ticks = nice_ticks(min(values), max(values))
    low, span = x_ticks[0], (x_ticks[-1] - x_ticks[0]) or 1.0

    def place(value: float) -> str:
        return f"{start + (END - start) * (value - low) / span:.1f}"

    bottom = TOP + step * len(rows)
    return Whiskers(
        rows=[
            Whisker(
                name=name,
                y=f"{TOP + step * (place_of + 0.5):.1f}",
                x=place(mean),
                label=f"{mean:+.3f}" if least is None or most is None else f"{mean:+.3f} ({least:+.3f} to {most:+.3f})",
                anchor="end" if float(place(mean)) > END - 80 else "middle",
                low="" if least is None else place(least),
                high="" if most is None else place(most),
                dots=[place(single) for single in singles],
            )
            for place_of, (name, mean, least, most, singles) in enumerate(rows)
        ],
        x_ticks=[Tick(place(x), f"{x:,.6g}") for x in x_ticks],
        zero=place(0.0),
        top=str(TOP),
        bottom=str(bottom),
        height=str(bottom + 44),
    )


def thinned(points: Sequence[T]) -> Sequence[T]:
    """No more of them than a line shows, with the last."""
    if len(points) <= POINTS_MAX:
        return points
    return [*points[:: math.ceil(len(points) / POINTS_MAX)], points[-1]]


def nice_ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers that cover low..high, at steps of 1, 2 or 5 times a power of ten.

    >>> nice_ticks(0, 9.3)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    span = (high - low) or abs(high) or 1.0
    raw = span / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next((factor * power for factor in (1, 2, 5) if factor * power >= raw * 0.8), 10 * power)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [float(f"{number * step:.10g}") for number in range(first, last + 1)]
