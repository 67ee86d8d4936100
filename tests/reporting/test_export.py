"""Charts as pictures: the platform's colours, the same text for the same chart, nothing from the network."""

import re

import altair as alt
import pytest

from ab_platform.reporting.charts.export import DARK, LIGHT, as_inline_svg, as_png, as_svg

pytest.importorskip("vl_convert", reason="vl-convert-python is not installed")


def chart() -> alt.LayerChart:
    """Draw two layers, one of them clipped, with an axis and a title."""
    data = alt.InlineData(values=[{"day": 1, "lift": 0.02}, {"day": 2, "lift": 0.05}])
    base: alt.Chart = alt.Chart(data, title="Lift").encode(
        x="day:Q", y=alt.Y("lift:Q", scale=alt.Scale(domain=[0, 0.04]))
    )
    return alt.LayerChart(layer=[base.mark_line(clip=True), base.mark_point(clip=True)])


def test_a_chart_is_the_same_text_every_time() -> None:
    assert as_svg(chart()) == as_svg(chart())


@pytest.mark.parametrize(("dark", "look"), [(False, LIGHT), (True, DARK)])
def test_a_chart_has_the_colours_of_its_page(dark: bool, look: object) -> None:
    drawn = as_svg(chart(), dark=dark)
    for colour in (LIGHT, DARK):
        for shade in (colour.ink, colour.quiet, colour.paper):
            assert (f'"{shade}"' in drawn) == (colour is look)


def test_a_chart_within_a_page_takes_the_pages_ink_and_shares_no_name_with_another() -> None:
    first, second = as_inline_svg(chart(), "a"), as_inline_svg(chart(), "b")
    assert 'fill="currentColor"' in first
    assert not re.search(r"#fdfcfa|#15171b", first)
    defined = [set(re.findall(r'\bid="([^"]+)"', each)) for each in (first, second)]
    assert defined[0]
    assert not defined[0] & defined[1]
    assert set(re.findall(r"url\(#([^)]+)\)", first)) <= defined[0]


def test_a_chart_asks_nobody_for_anything() -> None:
    drawn = as_svg(chart()).replace("http://www.w3.org/2000/svg", "").replace("http://www.w3.org/1999/xlink", "")
    assert "http" not in drawn


def test_a_chart_is_a_picture_of_twice_its_size() -> None:
    small = chart().properties(width=100, height=50)
    done = as_png(small)
    assert done.startswith(b"\x89PNG")
    assert int.from_bytes(done[16:20], "big") > 2 * 100
    assert as_png(small) == done
