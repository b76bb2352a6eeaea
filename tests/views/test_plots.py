"""python3 -m pytest tests/views/test_plots.py"""

import itertools
import re
from xml.etree import ElementTree

import pytest

from miniature_memory.views import plots

HOSTILE = '</text><script>alert("1")</script>&'


def words(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")]


@pytest.mark.parametrize(("value", "said"), [
    (0, "0"), (2.385, "2.385"), (7.0, "7"), (1234, "1,234"), (9999.7, "10 k"), (12_345, "12.3 k"), (999_700, "1 M"),
    (1_580_000, "1.58 M"), (2.5e9, "2.5 G"), (-12_345, "-12.3 k"),
])
def test_short_numbers(value: float, said: str) -> None:
    assert plots.short(value) == said


def test_numbers_along_an_axis_share_a_unit() -> None:
    assert plots.alike([0, 5000, 10_000]) == ["0", "5 k", "10 k"]
    assert plots.alike([0, 0.5, 1]) == ["0", "0.5", "1"]


@pytest.mark.parametrize(("low", "high", "whole", "expected"), [
    (0, 10, False, [0, 2, 4, 6, 8, 10]), (1.46, 1.97, False, [1.6, 1.8]), (1, 3, True, [1, 2, 3]),
    (0, 1, True, [0, 1]), (5, 5, False, [5]),
])
def test_ticks_are_round(low: float, high: float, whole: bool, expected: list[float]) -> None:
    assert plots.ticks(low, high, 5, whole) == expected


@pytest.mark.parametrize("power", range(-6, 15))
def test_there_are_neither_no_ticks_nor_many(power: int) -> None:
    for factor in (1, 1.3, 2.7, 4.9, 9.9):
        assert 2 <= len(plots.ticks(0, factor * 10 ** power, 5)) <= 6


def test_thinning_keeps_the_ends() -> None:
    assert plots.thin(range(1000), 4) == [0, 333, 666, 999] and plots.thin([1, 2], 4) == [1, 2]


def test_names_at_the_ends_of_lines_do_not_overlap() -> None:
    moved = plots.spread([50, 51, 52, 190], 0, 200)
    assert all(after - before >= plots.LINE for before, after in itertools.pairwise(moved))
    assert plots.spread([199, 200], 0, 200) == [185, 200]


def test_a_line_is_named_at_its_end_with_its_last_value() -> None:
    series = {"one": [(1, 2.5), (2, 2.0)], "two": [(2, 3.0)], "none": []}
    svg = plots.lines("Title", series, "run", "bits", {"aim": 1.9})
    assert {"one 2.000", "two 3.000", "aim 1.900", "run", "bits", "1", "2"} <= set(words(svg))
    assert "none" not in svg and "2.500 at 1, 2.000 at 2" in svg


def test_a_logarithmic_axis_gives_each_power_of_ten_the_same_room() -> None:
    svg = plots.lines("Title", {"": [(1, 3.0), (10, 2.0), (100, 1.0)]}, "seconds", "bits", log_x=True)
    assert {"1", "10", "100"} <= set(words(svg)) and "1 at 100" in svg
    first, second, third = (float(x) for x in re.findall(r'cx="([\d.]+)"', svg))
    assert second - first == pytest.approx(third - second, abs=0.2)


def test_lines_that_coincide_do_not_hide_each_other() -> None:
    same = [(1.0, 2.5), (2.0, 2.0)]
    drawn = plots.lines("Loss", {"validation": same, "training": same}, "run", "nats")
    assert drawn.index('class="s1"') < drawn.index('class="s2"')  # the second is dashed, over the first
    dashed = " ".join(re.findall(r"(.*)\{stroke-dasharray", plots.STYLE))
    assert ".s2" in dashed and ".s1" not in dashed
    radii = re.findall(r'class="f(\d)" cx="[\d.]+" cy="[\d.]+" r="([\d.]+)"', drawn)
    assert dict(radii)["1"] > dict(radii)["2"]


def test_whole_numbers_keep_no_decimals() -> None:
    assert "7" in words(plots.lines("Title", {"": [(1, 5), (2, 7)]}, "run", "documents", from_zero=True))


@pytest.mark.parametrize("points", [[(1, 0.0)], [(1, 3.0)], [(1, 0.0), (2, 0.0)], [(3, -2.0), (9, -2.0)]])
@pytest.mark.parametrize("from_zero", [False, True])
def test_lines_without_extent_are_drawn(points: list[tuple[float, float]], from_zero: bool) -> None:
    assert "nan" not in plots.lines("Title", {"": points}, "x", "y", from_zero=from_zero).lower()


def test_bars_have_values_and_strokes() -> None:
    svg = plots.bars("Title", [("one", 3.0), ("two", 0.0)], "seconds", [2.0, None])
    assert {"one", "two", "3", "0", "seconds"} <= set(words(svg)) and svg.count('class="mark"') == 1


def test_a_histogram_tells_its_median() -> None:
    svg = plots.histogram("Title", [plots.Bin(10, 100, 0.25), plots.Bin(100, 1000, 0.75)], "length", "documents", 300)
    assert "median 300" in words(svg) and {"10", "100", "1,000"} <= set(words(svg))


def test_nothing_to_draw_is_no_plot() -> None:
    assert plots.lines("Title", {"": []}, "x", "y") == plots.bars("Title", [], "") == ""
    assert plots.histogram("Title", [], "x", "y", 1) == ""


def test_names_are_escaped() -> None:
    drawn = [plots.lines(HOSTILE, {HOSTILE: [(1, 1)]}, HOSTILE, HOSTILE, {HOSTILE: 2}),
             plots.bars(HOSTILE, [(HOSTILE, 1)], HOSTILE),
             plots.histogram(HOSTILE, [plots.Bin(1, 10, 1.0)], HOSTILE, HOSTILE, 2)]
    for svg in [*drawn, plots.standalone([(HOSTILE, svg) for svg in drawn])]:
        assert "script" not in {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(svg).iter()}


def luminance(colour: str) -> float:
    colour = "".join(2 * digit for digit in colour) if len(colour) == 3 else colour
    parts = [int(colour[i:i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("colours", "page"), [(plots.LIGHT, "fbfaf7"), (plots.DARK, "161614")])
def test_what_is_written_in_a_plot_stands_out(colours: str, page: str) -> None:
    """WCAG's contrast of 4.5, which axe does not measure in SVG."""
    for name, colour in re.findall(r"--(ink|soft|c\d):#([0-9a-f]+)", colours):
        bright, dim = sorted([luminance(colour), luminance(page)], reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 4.5, name
