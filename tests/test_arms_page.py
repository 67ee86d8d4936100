"""The page on arms: its table names every arm, and the arm that it adds keeps the contract of those that are there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ab_platform.cli.main import app
from models import registry
from models.code_version import sources_of
from models.config import Search
from tests.models import tastes, test_contract

PAGE = (Path(__file__).parent.parent / "docs" / "arms.md").read_text(encoding="utf-8")
FILE, LINE, CONTRACT = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
[(NAME, PLACE)] = ast.literal_eval(f"{{{LINE}}}").items()


@pytest.fixture(autouse=True, scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Add the arm of the page: its file, its line and its small settings."""
    folder = tmp_path_factory.mktemp("arm")
    (folder / f"{NAME}.py").write_text(FILE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setattr(registry, "RECOMMENDERS", {**registry.RECOMMENDERS, NAME: PLACE.removeprefix("models.")})
        patch.setitem(tastes.SMALL, NAME, {"neighbours": 8})
        yield


# Not a child of `LearnsTaste` itself: those are counted, and must be the arms that are registered for good.
class TestTheArmOfThePage(test_contract.TestEase):
    name = NAME


def test_the_table_has_a_row_for_every_arm() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \|", PAGE, re.MULTILINE)
    assert sorted([*rows, NAME]) == sorted(registry.RECOMMENDERS)


def test_the_line_names_the_file_and_the_class_that_the_page_shows() -> None:
    module, _, attribute = PLACE.partition(":")
    assert f"`{module.replace('.', '/')}.py`" in PAGE
    assert f"class {attribute}(" in FILE


def test_the_contract_of_the_page_is_the_one_that_was_run() -> None:
    shown: dict[str, object] = {}
    # A stand-in for the base, which counts its children.
    exec(CONTRACT, {"LearnsTaste": object}, shown)
    [contract] = shown.values()
    for attribute in ("name", "seeded", "learns_by_gradient"):
        assert getattr(contract, attribute) == getattr(TestTheArmOfThePage, attribute)
    assert issubclass(TestTheArmOfThePage, test_contract.LearnsTaste)


def test_its_settings_are_listed_with_where_tuning_looks() -> None:
    assert registry.search_space(NAME) == {"neighbours": Search(10, 500, log=True)}
    told = CliRunner().invoke(app, ["arms", NAME])
    assert told.exit_code == 0
    assert "neighbours" in told.output
    assert "10 to 500, log" in told.output


def test_its_version_depends_on_its_own_file_and_on_no_other_arm() -> None:
    needed = sources_of(registry.module_of(NAME))
    assert {NAME, "models.closed_form"} <= needed.keys()
    assert not {"models.ease", "models.multi_vae"} & needed.keys()
