"""Latent spaces as tables, Markdown and pictures."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from ab_platform.latent_findings import Findings, Panel
from ab_platform.reporting import latent, latent_pictures
from ab_platform.reporting.latent_pictures import Series
from tests.reporting.latent_made import FINDINGS, some_plane

SVG = "{http://www.w3.org/2000/svg}"


def table(title: str, findings: Findings = FINDINGS) -> latent.Table:
    return next(each for each in latent.tables(findings) if each.title == title)


def test_each_arm_is_a_row_and_what_it_has_not_is_absent() -> None:
    plain, aligned = table("Across masks").rows
    assert plain == ("multi_vae", 0.5, 12.284, 12.284 / 86.54, None, 7.748, "180 of 200", None, None)
    assert aligned[4] == 3.407
    assert aligned[-2:] == (1.629, 83.74)


def test_groups_are_columns_with_their_users() -> None:
    found = table("Variance across masks, by interactions")
    assert found.columns == ("arm", "5-10", "100+")
    assert found.rows[:2] == (("users", 141, 397), ("multi_vae", 13.1, 12.06))


def test_the_variance_is_predicted_by_tau_squared_and_the_distance_by_tau() -> None:
    variance, distance, relative = table("What alignment contracts").rows
    assert variance == ("pia / multi_vae: variance", 0.2345, 0.3375**2, 0.6669**2, 0.9696**2)
    assert distance == ("pia / multi_vae: distance", 0.4257, 0.3375, 0.6669, 0.9696)
    assert relative == ("pia / multi_vae: variance of spread", 1.547, None, None, None)


def test_without_an_arm_to_compare_there_is_no_table_of_contractions() -> None:
    titles = [each.title for each in latent.tables(replace(FINDINGS, contractions=()))]
    assert titles == ["Across masks", "Variance across masks, by interactions", "Pairs of users"]


def test_a_share_that_the_bounds_leave_open_is_a_range() -> None:
    near, far, *_ = table("Pairs of users").rows
    assert near == ("multi_vae, near", 0.76, 11.2, 11.3, 157.2, 281.2, "30 %", "0 % to 10 %", "80 %")
    assert far[-2:] == ("0 %", "19 %")


@pytest.mark.parametrize("each", latent.tables(FINDINGS), ids=lambda each: each.title)
def test_every_row_has_a_cell_for_every_column(each: latent.Table) -> None:
    assert {len(row) for row in each.rows} == {len(each.columns)}
    assert len(set(each.columns)) == len(each.columns)


def test_the_page_has_every_table_and_picture_and_escapes_names() -> None:
    named = replace(FINDINGS, arms=(replace(FINDINGS.arms[0], arm="multi|vae"), FINDINGS.arms[1]))
    page = latent.as_markdown(named, some_plane())
    assert re.findall(r"!\[.*?\]\((.*?)\)", page) == [latent.PLANE, latent.VARIANCES, latent.DISTANCES]
    assert "multi\\|vae" in page
    assert "2 with few (5), 2 with some (49 to 51), 2 with many (324 to 378)" in page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert all(re.match(r"\|( [^|]+? \|)+$", line.replace("\\|", "")) for line in rows)


def test_the_plane_marks_every_mask_and_joins_those_of_a_user() -> None:
    drawing = ElementTree.fromstring(latent_pictures.plane(some_plane()))
    groups = drawing.findall(f"{SVG}g")
    discs = [len(group.findall(f"{SVG}circle")) for group in groups]
    triangles = [len(group.findall(f"{SVG}polygon")) for group in groups]
    assert discs == triangles == [2, 10, 10]
    assert [len(group.findall(f"{SVG}path")) for group in groups] == [0, 6, 6]
    text = " ".join(drawing.itertext())
    for said in ("a<b", "few: 5 interactions", "some: 49 to 51 interactions", "nearest mark is the same user's: 94 %"):
        assert said in text


def test_the_plane_has_a_cross_at_the_anchors_of_each_user_and_says_so() -> None:
    drawing = ElementTree.fromstring(latent_pictures.plane(some_plane(anchored=True)))
    groups = drawing.findall(f"{SVG}g")
    # Six lines between masks, and six crosses where there are anchors.
    assert [len(group.findall(f"{SVG}path")) for group in groups] == [0, 12, 12]
    assert "mean of a user's anchors" in " ".join(drawing.itertext())
    assert "anchors" not in " ".join(ElementTree.fromstring(latent_pictures.plane(some_plane())).itertext())


@pytest.mark.parametrize("panels", [1, 3, 5])
def test_every_panel_is_inside_the_picture_and_every_mark_inside_its_panel(panels: int) -> None:
    drawing = ElementTree.fromstring(latent_pictures.plane(some_plane(panels)))
    width, height = (float(drawing.attrib[side]) for side in ("width", "height"))
    groups = drawing.findall(f"{SVG}g")
    assert len(groups) == panels
    for group in groups:
        x, y = map(float, re.findall(r"[\d.]+", group.attrib["transform"]))
        assert x + latent_pictures.PANEL <= width
        assert y + latent_pictures.PANEL_HEAD + latent_pictures.PANEL + latent_pictures.PANEL_FOOT <= height
        for mark in group.findall(f"{SVG}circle"):
            assert 0 < float(mark.attrib["cx"]) < latent_pictures.PANEL
            assert 0 < float(mark.attrib["cy"]) - latent_pictures.PANEL_HEAD < latent_pictures.PANEL


def test_users_on_one_point_are_drawn_in_the_middle_of_the_panel() -> None:
    still = Panel("x", "y", (((0.0, 0.0),) * 6,), None, None, 1.0)
    drawing = ElementTree.fromstring(latent_pictures.plane(replace(some_plane(), panels=(still,))))
    disc = drawing.find(f"{SVG}g/{SVG}circle")
    assert disc is not None
    assert float(disc.attrib["cx"]) == pytest.approx(latent_pictures.PANEL / 2, abs=0.1)


def test_bars_rise_with_their_values_and_name_what_they_show() -> None:
    drawing = ElementTree.fromstring(latent_pictures.variances(FINDINGS))
    _, *keys, first, second, third, fourth = [each.attrib for each in drawing.findall(f"{SVG}rect")]
    assert [key["fill"] for key in keys] == [first["fill"], second["fill"]] == [third["fill"], fourth["fill"]]
    # 5-10 above 100+, of the first arm.
    assert float(first["height"]) / float(third["height"]) == pytest.approx(13.1 / 12.06, rel=1e-3)
    words = [each.text for each in drawing.findall(f"{SVG}text")]
    for said in ("multi_vae", "pia", "5-10 interactions", "100+ interactions", "13.1", "trace of the covariance"):
        assert said in words


def test_the_tip_of_a_bar_is_the_upper_bound_and_what_is_missing_is_left_out() -> None:
    picture = latent_pictures.bars("t", ["a", "b"], [Series("s", [(1.0, 2.0), None])], unit="u")
    drawing = ElementTree.fromstring(picture)
    (tip,) = drawing.findall(f"{SVG}path")
    foot, top = map(float, re.findall(r"M[\d.]+ ([\d.]+)V([\d.]+)", tip.attrib["d"])[0])
    assert top < foot
    assert len([each for each in drawing.findall(f"{SVG}text") if each.text == "1.00"]) == 1


def test_bars_of_nothing_are_still_a_picture() -> None:
    flat = latent_pictures.bars("t", ["a"], [Series("s", [(0.0, 0.0)])], unit="u")
    assert ElementTree.fromstring(flat).tag == f"{SVG}svg"
