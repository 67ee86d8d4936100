"""The docs, tested against the code: every command, option, file, setting and word that they show is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from ab_platform.cli.main import app
from ab_platform.experiment_file import parse
from ab_platform.metrics import CATALOGUE, MEASURES, TABLE_2

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "deploy" / "README.md"]
DOCS = sorted([*PAGES, *(ROOT / "docs").rglob("*.md")])


def verbs() -> dict[str, TyperCommand]:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    found: dict[str, TyperCommand] = {}
    for name, verb in group.commands.items():
        if isinstance(verb, TyperGroup):
            found |= {f"{name} {each}": one for each, one in verb.commands.items() if isinstance(one, TyperCommand)}
        elif isinstance(verb, TyperCommand):
            found[name] = verb
    return found


def verb_of(words: list[str]) -> str:
    """Return the verb of a line, of two words where the first only gathers others."""
    return words[1] if words[1] in verbs() else " ".join(words[1:3])


def shell_lines(text: str) -> list[str]:
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", text, re.DOTALL)
    lines = [line.removeprefix("$ ").split(" # ")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith(("abp ", "make "))]


def test_the_readme_shows_the_two_commands() -> None:
    assert shell_lines(README)[:2] == ["make demo", "make test"]


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_command_in_the_docs_is_one_the_program_takes(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in shell_lines(path.read_text(encoding="utf-8")):
        words = shlex.split(line)
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), f"{path.name}: no make target in `{line}`"
            continue
        assert verb_of(words) in verbs(), f"{path.name}: there is no verb in `{line}`"
        params = verbs()[verb_of(words)].params
        known = {option for each in params for option in (*each.opts, *each.secondary_opts)}
        used = {word.split("=")[0] for word in words[2:] if word.startswith("-")}
        assert used <= known, f"{path.name}: `{line}` uses {used - known}"


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_experiment_in_the_readme_is_valid() -> None:
    [text] = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert parse(text).key == "pia-vs-multivae"


def test_what_the_docs_say_of_inference_is_a_valid_part_of_an_experiment() -> None:
    text = (ROOT / "docs" / "inference.md").read_text(encoding="utf-8")
    [part] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    whole = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)[0]
    head, _, tables = whole.partition("[data]")
    head = "\n".join(line for line in head.splitlines() if not line.startswith("primary"))
    lists, _, sections = part.partition("[[guardrails]]")
    parse(f"{head}\n{lists}\n[data]{tables}\n[[guardrails]]{sections}")


def test_every_metric_of_the_catalogue_is_in_the_docs() -> None:
    text = (ROOT / "docs" / "inference.md").read_text(encoding="utf-8")
    for each in CATALOGUE[len(TABLE_2) :]:
        assert each.name in text or each.name.startswith("retention_day"), each.name
    for measure in MEASURES:
        assert f"`{measure}`" in text


def test_every_variable_in_the_readme_is_read() -> None:
    settings = (ROOT / "ab_platform" / "settings.py").read_text(encoding="utf-8")
    variables = set(re.findall(r"`(ABP_[A-Z_]+)`", README))
    assert variables == set(re.findall(r"\"(ABP_[A-Z_]+)\"", settings))


def test_every_variable_of_the_deployment_is_read() -> None:
    text = (ROOT / "deploy" / "airflow.env").read_text(encoding="utf-8")
    variables = set(re.findall(r"^(ABP_[A-Z_]+)=", text, re.MULTILINE))
    assert variables
    assert variables <= set(re.findall(r"`(ABP_[A-Z_]+)`", README))


def test_every_dag_is_in_the_docs() -> None:
    text = (ROOT / "docs" / "airflow.md").read_text(encoding="utf-8")
    dags = {path.stem for path in (ROOT / "dags").glob("*.py")} - {"__init__", "tasks", "workplace"}
    assert dags == set(re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE))


def test_every_verb_says_in_its_help_what_the_readme_promises() -> None:
    assert verbs()
    for name, verb in verbs().items():
        assert f"abp {name}" in (verb.help or ""), f"abp {name} has no example in its help"


def test_the_changelog_names_this_version_or_what_is_not_released() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## Unreleased" in text
