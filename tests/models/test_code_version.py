"""The code version of an arm tells a change of what the arm needs, and of nothing else."""

from pathlib import Path

import pytest

from models import code_version as versions
from models import registry
from models.code_version import code_version, sources_of
from models.errors import ModelError
from models.registry import RECOMMENDERS


@pytest.mark.parametrize("name", RECOMMENDERS)
def test_it_is_short_and_covers_the_arm_s_own_module(name: str) -> None:
    assert len(code_version(name)) == 12
    assert RECOMMENDERS[name].partition(":")[0] in sources_of(RECOMMENDERS[name].partition(":")[0])


def test_it_covers_what_is_needed_through_others() -> None:
    needed = sources_of("models.alignment")
    assert {"models.alignment", "models.multi_vae", "models.training", "models.interactions"} <= needed.keys()
    assert not {"models.ease", "models.registry", "models.ract"} & needed.keys()


def test_arms_of_other_sources_have_other_versions() -> None:
    assert code_version("ease") != code_version("plrec")
    assert code_version("pia") != code_version("multi_vae")


def test_a_change_in_what_is_needed_changes_it_and_line_ends_do_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "far_arm.py").write_bytes(b"from models import rows\nTHIS = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "RECOMMENDERS", {"far": "far_arm:Far"})
    first = code_version("far")
    assert set(sources_of("far_arm")) == {"far_arm", "models", "models.rows"}
    (tmp_path / "far_arm.py").write_bytes(b"from models import rows\r\nTHIS = 1\r\n")
    versions._hash_of.cache_clear()
    assert code_version("far") == first
    (tmp_path / "far_arm.py").write_bytes(b"from models import rows\nTHIS = 2\n")
    versions._hash_of.cache_clear()
    assert code_version("far") != first


def test_an_unknown_recommender_is_refused() -> None:
    with pytest.raises(ModelError, match="did you mean 'ease'"):
        code_version("eas")
