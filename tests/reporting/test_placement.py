"""Where a user falls, drawn as buckets, and in which other experiments they are."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest

from ab_platform.experiment import Experiment
from ab_platform.reporting.memberships import memberships
from ab_platform.reporting.placement import Place, arm_words, layer_words, picture, place, verdict
from tests.storage import made

USERS = [f"u{number}" for number in range(200)]


def definition(*, buckets: tuple[int, int] = (0, 10_000)) -> Experiment:
    return made.definition(buckets=buckets)


def first(experiment: Experiment, said: str, *, traffic: float = 1.0) -> Place:
    """Find a user of whom something is said."""
    return next(
        where for where in (place(experiment, user, traffic=traffic) for user in USERS) if verdict(where) == said
    )


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


@pytest.mark.parametrize("said", ["In arm control", "In arm pia"])
def test_who_is_in_is_told_their_arm_and_both_buckets(said: str) -> None:
    where = first(definition(), said)
    assert where.arm == said.removeprefix("In arm ")
    assert f"bucket {where.found.layer_bucket:,} of layer recommender" in layer_words(where)
    assert "owns all of it, so the user is one of its own" in layer_words(where)
    assert arm_words(where).endswith(f"bucket {where.found.arm_bucket:,}, which is {where.arm}'s.")


def test_who_belongs_to_another_slice_is_told_which_is_owned() -> None:
    where = first(definition(buckets=(0, 2_500)), "Not in")
    assert "owns 0 to 2,499, so the user is not one of its own" in layer_words(where)
    assert "not asked" in arm_words(where)
    assert where.arm_at_full_traffic is None


def test_who_comes_in_with_more_traffic_is_told_so() -> None:
    where = first(definition(), "Not in at this traffic", traffic=0.2)
    whole = place(definition(), where.found.user_id, traffic=1.0)
    assert where.arm is None
    assert where.arm_at_full_traffic == whole.arm
    assert f"which is {whole.arm}'s, but at a traffic of 20 % not yet" in arm_words(where)


def test_the_marks_lie_where_the_buckets_are() -> None:
    where = first(definition(buckets=(2_000, 7_000)), "In arm pia", traffic=0.5)
    drawn = picture(where)
    marks = [float(each) for each in re.findall(r'class="here" style="left:([\d.]+)%"', drawn)]
    assert where.found.arm_bucket is not None
    assert marks == pytest.approx([where.found.layer_bucket / 100, where.found.arm_bucket / 100], abs=0.01)
    spans = {
        (kind, float(left), float(width))
        for kind, left, width in re.findall(r'class="(own|arm|later)" style="left:([\d.]+)%;width:([\d.]+)%', drawn)
    }
    assert spans == {
        ("own", 20.0, 50.0),
        ("arm", 0.0, 25.0),
        ("later", 25.0, 25.0),
        ("arm", 50.0, 25.0),
        ("later", 75.0, 25.0),
    }


def test_at_full_traffic_nothing_is_left_for_later() -> None:
    assert 'class="later"' not in picture(first(definition(), "In arm pia"))


def test_both_rails_are_told_to_who_cannot_see_them() -> None:
    where = first(definition(), "In arm pia")
    names = [unescape(each) for each in re.findall(r'role="img" aria-label="([^"]+)"', picture(where))]
    assert names == [layer_words(where), arm_words(where)]


def test_a_user_who_is_not_in_has_no_mark_among_the_arms() -> None:
    assert picture(first(definition(buckets=(0, 2_500)), "Not in")).count('class="here"') == 1


# Other experiments ----------------------------------------------------------------------------------------------------


def test_experiments_that_a_user_is_in_are_listed_with_a_link_and_the_rest_counted() -> None:
    placed = [
        (made.launch(made.definition("mine")), place(made.definition("mine"), "ann & co", traffic=1.0)),
        (made.launch(made.definition("none", buckets=(0, 1))), place(definition(buckets=(0, 1)), "ann", traffic=1.0)),
    ]
    found = memberships(placed, {"mine": made.after(days=1)}, user="ann & co")
    assert 'href="user?experiment=mine&amp;user=ann+%26+co"' in found
    assert f"mine running {placed[0][1].arm} 2026-03-02 00:00 UTC" in words(found)
    assert "In 1 other experiment the user is not." in words(found)


def test_who_was_exposed_is_listed_though_the_traffic_of_now_leaves_them_out() -> None:
    defined = replace(made.definition("mine"), traffic=0.0)
    found = memberships(
        [(made.launch(defined), place(defined, "ann", traffic=0.0))], {"mine": made.after()}, user="ann"
    )
    assert "mine running Not in at this traffic" in words(found)


def test_with_no_other_experiment_that_is_said() -> None:
    assert words(memberships([], {}, user="ann")) == "Other experiments There is none."
