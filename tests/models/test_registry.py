"""Recommenders by name, and what their settings may be."""

import subprocess
import sys

import pytest

from models import registry
from models.config import Search
from models.errors import ModelError
from models.registry import RECOMMENDERS, checked_config, create, default_config, search_space


@pytest.mark.parametrize("name", RECOMMENDERS)
def test_a_recommender_is_created_with_its_defaults(name: str) -> None:
    recommender = create(name)
    assert recommender.name == name
    assert recommender.config.as_mapping() == default_config(name)
    assert recommender.items == ()


@pytest.mark.parametrize("name", RECOMMENDERS)
def test_what_tuning_may_try_is_within_the_limits(name: str) -> None:
    for setting, space in search_space(name).items():
        assert space.low < space.high
        whole = isinstance(default_config(name)[setting], int)
        for value in (space.low, space.high):
            checked_config(name, {setting: int(value) if whole else value})


def test_a_setting_tells_where_tuning_looks_for_it() -> None:
    assert search_space("pia")["alignment"] == Search(0.01, 3.0, log=True)
    assert "hidden" not in search_space("pia")
    assert search_space("popularity") == {}


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "RECOMMENDERS", {"far": "not_there_at_all:Far"})
    with pytest.raises(ModelError, match=r"'far' needs not_there_at_all, which is not installed; pip install"):
        create("far")


def test_settings_differ_from_the_defaults_where_they_are_given() -> None:
    config = create("pia", {"hidden": 50, "alignment": 2}).config.as_mapping()
    assert config == {**default_config("pia"), "hidden": 50, "alignment": 2.0}
    assert isinstance(config["alignment"], float)


@pytest.mark.parametrize(
    ("name", "config", "told"),
    [
        ("multi-vae", {}, "the recommender 'multi-vae' is unknown; did you mean 'multi_vae'?"),
        ("zebra", {}, "the recommender 'zebra' is unknown; known are popularity, "),
        ("pia", {"aligment": 1}, "the setting 'aligment' is unknown; did you mean 'alignment'?"),
        ("multi_vae", {"alignment": 1}, "the setting 'alignment' is unknown; known are learning_rate, batch"),
        ("popularity", {"alpha": 1}, "the setting 'alpha' is unknown; nothing can be set here"),
        ("multi_vae", {"hidden": 600.0}, "hidden is 600.0, a float; it must be a int"),
        ("multi_vae", {"hidden": True}, "hidden is True, a bool; it must be a int"),
        ("multi_vae", {"keep": "half"}, "keep is 'half', a str; it must be a float"),
        ("multi_vae", {"keep": True}, "keep is True, a bool; it must be a float"),
        ("multi_vae", {"hidden": 0}, "hidden is 0; it must be at least 1"),
        ("multi_vae", {"keep": 0}, "keep is 0.0; it must be above 0"),
        ("multi_vae", {"keep": 1.5}, "keep is 1.5; it must be at most 1"),
        ("multi_vae", {"beta_max": float("nan")}, "beta_max is nan; it must be finite"),
        ("pia", {"reduction": "max"}, "reduction is 'max'; it must be one of 'sum', 'mean'"),
        ("pia", {"reduction": ["sum"]}, "reduction is"),
        ("pia", {"alignment": -1}, "alignment is -1.0; it must be at least 0"),
    ],
)
def test_what_cannot_be_is_refused_with_the_next_step(name: str, config: dict[str, object], told: str) -> None:
    with pytest.raises(ModelError) as error:
        checked_config(name, config)
    assert str(error.value).startswith(told)


def test_torch_is_loaded_when_an_arm_needs_it_and_not_before() -> None:
    program = """
import sys
from models import artifact, ranking, registry
registry.create("popularity")
print("torch" in sys.modules)
registry.create("pia")
print("torch" in sys.modules)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.split() == ["False", "True"]
