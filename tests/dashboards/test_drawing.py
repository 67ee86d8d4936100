"""A chart is drawn once for the same content, and shown as it was drawn."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from tests.dashboards.visiting import drawn


def _page() -> None:
    import altair as alt
    import streamlit as st

    from dashboards import drawing

    def draw() -> alt.LayerChart:
        st.session_state["drawn"] = st.session_state.get("drawn", 0) + 1
        points = alt.InlineData(values=[{"x": st.session_state["content"]}])
        layer = alt.LayerChart(layer=[alt.Chart(points).mark_point().encode(x="x:Q")])
        return layer.properties(height=100, description="a chart")

    drawing.chart(draw, "one", st.session_state["content"], around=40)
    drawing.files(draw, "picture-of-one", title="one")


def test_a_chart_is_drawn_anew_only_where_its_content_is_another() -> None:
    page = AppTest.from_function(_page)
    page.session_state["content"] = 1
    page.run()
    page.run()
    assert page.session_state["drawn"] == 1
    assert drawn(page) == [{"x": 1}]
    page.session_state["content"] = 2
    page.run()
    assert page.session_state["drawn"] == 2
    assert drawn(page) == [{"x": 2}]
    page.session_state["content"] = 1
    page.run()
    assert page.session_state["drawn"] == 2
    assert drawn(page) == [{"x": 1}]


def test_a_chart_keeps_its_words_and_leaves_colours_around_it_to_the_theme() -> None:
    page = AppTest.from_function(_page)
    page.session_state["content"] = 3
    spec = page.run().get("vega_lite_chart")[0].proto.spec
    assert '"description": "a chart"' in spec
    assert '"config"' not in spec


def test_a_chart_can_be_taken_away_as_a_picture_that_is_drawn_only_when_it_is_asked_for() -> None:
    page = AppTest.from_function(_page)
    page.session_state["content"] = 4
    page.run()
    assert [each.proto.label for each in page.get("download_button")] == ["Chart as SVG", "Chart as PNG"]
    assert page.session_state["drawn"] == 1
