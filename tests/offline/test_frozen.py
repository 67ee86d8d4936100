"""Whether a comparison is about the arms that an experiment froze."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ab_platform.lineage import Recipe
from ab_platform.offline.frozen import cautions, counterpart, counterparts, differing
from ab_platform.offline.results import Comparison
from tests.offline import fakes, made


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.register(monkeypatch)


@pytest.fixture
def found() -> Comparison:
    compared = made.comparison({"quiet": 0.0})
    quiet = replace(compared.arm("quiet"), config={}, settings={"noise": 0.0})
    return replace(compared, arms=(compared.arms[0], quiet))


def recipe(recommender: str = "noisy", dataset: str = "made", **config: object) -> Recipe:
    return Recipe(recommender, config, 0, dataset, "hash", "code")


def test_the_counterpart_has_the_nearest_settings(found: Comparison) -> None:
    loud, quiet = counterpart(recipe(noise=0.5), found), counterpart(recipe(noise=0.0), found)
    assert loud is not None
    assert quiet is not None
    assert (loud.label, quiet.label) == ("control", "quiet")
    assert counterpart(recipe("pia"), found) is None
    assert list(counterparts({"a": recipe(noise=0.5), "b": recipe("pia")}, found)) == ["a"]


def test_settings_that_differ_are_found_also_where_the_comparison_had_the_default(found: Comparison) -> None:
    (setting,) = differing(found.arm("quiet"), recipe(noise=0.3))
    assert (setting.name, setting.compared, setting.frozen) == ("noise", 0.0, 0.3)
    older = replace(found.arm("control"), settings={})
    assert [each.compared for each in differing(older, recipe(noise=0.3))] == [0.5]


def test_a_setting_that_the_frozen_code_had_not_is_called_so(found: Comparison) -> None:
    assert cautions({"quiet": recipe()}, replace(found, arms=found.arms[1:])) == (
        "Its quiet is not quite the frozen quiet: noise 0.0 (frozen: no such setting).",
    )


def test_a_comparison_of_the_very_recipes_is_not_doubted(found: Comparison) -> None:
    assert cautions({"control": recipe(noise=0.5), "quiet": recipe(noise=0.0)}, found) == ()


def test_every_doubt_is_said(found: Comparison) -> None:
    told = cautions({"a": recipe(noise=0.1, dataset="other"), "b": recipe("pia", dataset="other")}, found)
    assert told == (
        "It was made on made; the arms of this experiment learned from other.",
        "It has no arm like b.",
        "Its control is not quite the frozen a: noise 0.5 (frozen: 0.1).",
    )
