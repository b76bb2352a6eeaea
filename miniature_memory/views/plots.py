"""Plots: lines, bars and histograms as SVG text, for the report, the notebook and bench/growth.py. Pure functions.

A plot has axes with units, names written next to what they name, and a title and a description for screen readers. It
is drawn 400 pixels wide, so that its letters can be read on a phone. Colors come from STYLE, whose variables a page may
set; color-blind readers can distinguish them.
"""

import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple, TypeVar

WIDTH, HEIGHT = 400, 236  # of a plot; that of bars depends on their number
TOP, BOTTOM = 32, 40  # margins, for the names of the axes
LETTER = 7.2  # width of one, about
LINE = 15  # height of a line of text
MOST_POINTS = 300  # drawn of a line; a phone has no more pixels
MOST_DOTS = 20  # on a line; with more, its last alone
MOST_CHARS = 26  # of a bar's name
UNITS = ((9.995e8, 1e9, " G"), (9.995e5, 1e6, " M"), (9999.5, 1e3, " k"))  # from which value, its size, its sign

LIGHT = ("--ink:#1f1e1b;--soft:#5f5c55;--rule:#e3dfd6;"
         "--c1:#0b5fa5;--c2:#ad4a00;--c3:#00705a;--c4:#96377a;--c5:#6d5f00;--c6:#555")
DARK = ("--ink:#e9e6df;--soft:#a9a59b;--rule:#393832;"
        "--c1:#74b6f2;--c2:#f0a35e;--c3:#57d0ab;--c4:#e29bcb;--c5:#d3c05c;--c6:#bbb")
COLORS = "".join(f".plot .s{n}{{stroke:var(--c{n})}}.plot .f{n}{{fill:var(--c{n})}}" for n in range(1, 7))
STYLE = f"""
.plot{{font:12px system-ui,sans-serif;fill:var(--soft)}}
.plot .name{{fill:var(--ink);font-weight:600}}
.plot path{{fill:none;stroke-width:2;stroke-linejoin:round}}
.plot .rule{{stroke:var(--rule);stroke-width:1}}
.plot .axis{{stroke:var(--soft);stroke-width:1}}
.plot .s2,.plot .s4,.plot .s6{{stroke-dasharray:7 5}}
.plot .s3,.plot .s5{{stroke-dasharray:2 4}}
.plot .level{{stroke:var(--soft);stroke-width:1.5;stroke-dasharray:5 4}}
.plot .mark{{stroke:var(--ink)}}
.plot .area{{fill:var(--c1);fill-opacity:.12}}
{COLORS}
"""

THEMED_STYLE = f":root{{{LIGHT}}}\n@media(prefers-color-scheme:dark){{:root{{{DARK}}}}}{STYLE}"  # light and dark

Points = Sequence[tuple[float, float]]
T = TypeVar("T")


def unit_of(value: float) -> tuple[float, str]:
    """By what such a number is divided before it is written, and the unit's sign."""
    return next(((size, sign) for least, size, sign in UNITS if abs(value) >= least), (1.0, ""))


def short(value: float) -> str:
    """A number in few digits: 2.385, 1,234, 12.3 k, 1.58 M."""
    size, sign = unit_of(value)
    return f"{value / size:.3g}{sign}" if sign else f"{value:,.4g}"


def alike(values: Sequence[float]) -> list[str]:
    """Numbers along an axis, all in the unit of the largest."""
    size, sign = unit_of(max(map(abs, values), default=0.0))
    return [f"{value / size:,.6g}{sign if value else ''}" for value in values]


def formatter(values: Iterable[float]) -> Callable[[float], str]:
    """How to write such numbers: with three decimals if one of them is small and a fraction, so that they line up."""
    fractions = any(abs(value) < 100 and not float(value).is_integer() for value in values)
    return "{:,.3f}".format if fractions else short


def thin(items: Sequence[T], most: int) -> list[T]:
    """At most so many of `items`, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def ticks(low: float, high: float, about: int, whole: bool = False) -> list[float]:
    """Round numbers in [low, high], 1, 2 or 5 times a power of ten apart."""
    if high <= low:
        return [low]
    step = 10 ** math.floor(math.log10((high - low) / about))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= about)
    step = max(1, step) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 10) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def frame(title: str, description: str, body: Iterable[str], height: float = HEIGHT) -> str:
    name = f"plot-{zlib.crc32(title.encode()):08x}"
    return (f'<svg class="plot" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-labelledby="{name}-t {name}-d">'
            f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(description)}</desc>'
            + "".join(body) + "</svg>")


def text(x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> str:
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(words)}</text>'


def path(kind: str, points: Points, close: str = "") -> str:
    return f'<path class="{kind}" d="M' + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + f'{close}"/>'


def spread(places: Sequence[float], low: float, high: float) -> list[float]:
    """`places` moved apart until no two are closer than a line of text, within [low, high] if they fit."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = list(places)
    for before, i in zip([None, *order], order, strict=False):
        moved[i] = max(moved[i], low if before is None else moved[before] + LINE)
    for after, i in zip([None, *order[::-1]], order[::-1], strict=False):
        moved[i] = min(moved[i], high if after is None else moved[after] - LINE)
    return moved


def lines(title: str, series: Mapping[str, Points], x_name: str, y_name: str,
          levels: Mapping[str, float] | None = None, from_zero: bool = False, log_x: bool = False) -> str:
    """A line for each of up to six series, its name and last value at its end; a dashed line for each level.

    x are whole numbers, such as runs, or positive with log_x, a logarithmic axis; a series without points is skipped.
    from_zero: y begins at 0, and the area below the first line is filled.
    """
    series = {name: thin(points, MOST_POINTS) for name, points in series.items() if points}
    levels = levels or {}
    if not series:
        return ""
    scale = math.log10 if log_x else float
    xs = [scale(x) for points in series.values() for x, _ in points]
    ys = [*(y for points in series.values() for _, y in points), *levels.values()]
    low_y, high_y = min(ys), max(ys)
    room = 0.06 * (high_y - low_y) or abs(high_y) * 0.05 or 1.0
    low_y, high_y = 0.0 if from_zero else low_y - room, high_y + room
    low_x, high_x = (min(xs), max(xs)) if min(xs) < max(xs) else (min(xs) - 1, max(xs) + 1)
    marks, say = ticks(low_y, high_y, 5), formatter(ys)
    ends = [*((name, points[-1][1]) for name, points in series.items()), *levels.items()]
    named = [f"{name} {say(value)}".strip() for name, value in ends]
    left = 10 + LETTER * max(map(len, alike(marks)), default=0)
    right = WIDTH - 14 - LETTER * max(map(len, named))
    floor = HEIGHT - BOTTOM

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x, y = point
        return (left + 6 + (right - left - 6) * (scale(x) - low_x) / (high_x - low_x),
                TOP + (floor - TOP) * (high_y - y) / (high_y - low_y))

    body = [text(0, 13, y_name), text(right, HEIGHT - 4, x_name, "end")]
    for mark, words in zip(marks, alike(marks), strict=True):
        y = place((1, mark))[1]
        body += [path("rule", [(left, y), (right, y)]), text(left - 6, y + 4, words, "end")]
    body.append(path("axis", [(left, floor), (right, floor)]))
    whole = sorted(set(xs)) if len(set(xs)) <= 4 and not log_x else ticks(low_x, high_x, 5, whole=True)
    whole = [10**x for x in whole] if log_x else whole
    body += [text(place((x, low_y))[0], floor + 17, short(x), "middle") for x in whole]
    body += [path("level", [(left, place((1, y))[1]), (right, place((1, y))[1])]) for y in levels.values()]
    for n, points in enumerate(series.values(), 1):  # dashes and smaller dots over the first: none is hidden
        placed = [place(point) for point in points]
        if from_zero and n == 1 and len(points) > 1:
            body.append(path("area", placed, f"V{floor}H{placed[0][0]:.1f}Z"))
        body.append(path(f"s{n}", placed) if len(points) > 1 else "")
        dots = placed if len(points) <= MOST_DOTS else placed[-1:]
        size = max(4.5 - n, 1.5) if len(points) > 1 else 3.5
        body += [f'<circle class="f{n}" cx="{x:.1f}" cy="{y:.1f}" r="{size}"/>' for x, y in dots]
    places = spread([place((1, y))[1] for _, y in ends], TOP, floor)
    for n, (words, y) in enumerate(zip(named, places, strict=True), 1):
        body.append(text(right + 8, y + 4, words, kind=f"name f{n}" if n <= len(series) else ""))
    summary = [f"{name or y_name}: {say(points[0][1])} at {short(points[0][0])}, {say(points[-1][1])} at "
            f"{short(points[-1][0])}" for name, points in series.items()]
    return frame(title, f"{y_name} over {x_name}. {'; '.join(summary)}.", body)


def bars(title: str, rows: Sequence[tuple[str, float]], unit: str, marks: Sequence[float | None] = (),
         say: Callable[[float], str] = short) -> str:
    """A horizontal bar for each (name, value), the value at its end. marks: a further value on each, such as a usual
    one, as a stroke across the bar."""
    if not rows:
        return ""
    height, names = 26, [name if len(name) <= MOST_CHARS else name[:MOST_CHARS - 1] + "…" for name, _ in rows]
    most = max([value for _, value in rows] + [mark for mark in marks if mark]) or 1.0
    left = 10 + LETTER * max(map(len, names))
    right = WIDTH - 10 - LETTER * max(len(say(value)) for _, value in rows)
    floor = 4 + height * len(rows)

    def place(value: float) -> float:
        return left + (right - left) * value / most

    body = []
    places = ticks(0, most, 3, whole=all(float(value).is_integer() for _, value in rows))
    for value, words in zip(places, alike(places), strict=True):
        x = place(value)
        body += [path("rule", [(x, 2), (x, floor)]), text(x, floor + 17, words, "middle")]
    marks = marks or [None] * len(rows)
    for n, (name, (_, value), mark) in enumerate(zip(names, rows, marks, strict=True)):
        y, end = 4 + height * n, place(max(value, mark or 0))
        body += [text(left - 8, y + 17, name, "end"), text(end + 6, y + 17, say(value), kind="name"),
                 f'<rect class="f1" x="{left:.1f}" y="{y + 5}" width="{max(1.0, place(value) - left):.1f}" height="16" '
                 'rx="1.5"/>']
        if mark is not None:
            body.append(path("mark", [(place(mark), y + 2), (place(mark), y + height - 2)]))
    body += [path("axis", [(left, 2), (left, floor)]), text(right, floor + 34, unit, "end") if unit else ""]
    summary = "; ".join(f"{name}: {say(value)}" for name, value in rows)
    return frame(title, f"{unit}. {summary}.", body, floor + (38 if unit else 22))


class Bin(NamedTuple):
    low: float
    high: float
    share: float  # of all


def histogram(title: str, bins: Sequence[Bin], x_name: str, y_name: str, middle: float,
              say: Callable[[float], str] = short) -> str:
    """Shares over a logarithmic axis, with the median as a dashed line. Bins are adjacent."""
    if not bins:
        return ""
    low, high = math.log10(bins[0].low), math.log10(bins[-1].high)
    most, left, right, floor = max(each.share for each in bins), 44.0, WIDTH - 12.0, float(HEIGHT - BOTTOM)

    def place(value: float) -> float:
        return left + (right - left) * (math.log10(value) - low) / (high - low)

    def level(share: float) -> float:
        return floor - (floor - TOP - LINE) * share / most

    body = [text(0, 13, y_name), text(right, HEIGHT - 4, x_name, "end")]
    for share in ticks(0, 100 * most, 4):
        y = level(share / 100)
        body += [path("rule", [(left, y), (right, y)]), text(left - 6, y + 4, f"{short(share)} %", "end")]
    for each in bins:
        x, top = place(each.low), level(each.share)
        body.append(f'<rect class="f1" x="{x + .5:.1f}" y="{top:.1f}" width="{place(each.high) - x - 1:.1f}" '
                    f'height="{floor - top:.1f}"/>')
    body.append(path("axis", [(left, floor), (right, floor)]))
    for power in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1):
        x = place(10.0 ** power)
        body += [path("axis", [(x, floor), (x, floor + 4)]), text(x, floor + 18, say(10.0 ** power), "middle")]
    x, words = place(middle), f"median {say(middle)}"
    body.append(path("level", [(x, TOP), (x, floor)]))
    body.append(text(x + 5, TOP + 8, words, kind="name") if x < WIDTH * 0.6 else
                text(x - 5, TOP + 8, words, "end", "name"))
    summary = "; ".join(f"{say(each.low)} to {say(each.high)}: {each.share:.0%}" for each in bins if each.share)
    return frame(title, f"{y_name} over {x_name}. The {words}. {summary}.", body)


def standalone(plots: Sequence[tuple[str, str]]) -> str:
    """A file with (heading, plot) side by side, on white."""
    size = f"{WIDTH * len(plots) + 20 * (len(plots) + 1)} {HEIGHT + 50}"
    parts = [f'<svg x="{20 + n * (WIDTH + 20)}" y="10" width="{WIDTH}" height="{HEIGHT + 30}">'
             f'<text y="14" font-family="sans-serif" font-size="13" font-weight="bold">{escape(heading)}</text>'
             f'<svg y="26" height="{HEIGHT}">{plot}</svg></svg>' for n, (heading, plot) in enumerate(plots)]
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}"><style>svg{{{LIGHT}}}{STYLE}</style>'
            f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n')
