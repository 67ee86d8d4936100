"""`abp dashboard`: whom it serves, and when it refuses to."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ab_platform.cli.main import app
from dashboards.launch import command

FOLDER = Path(__file__).parents[2] / "dashboards"


def test_on_another_address_without_sign_in_it_is_refused_with_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ABP_DASHBOARD_SIGN_IN", raising=False)
    done = CliRunner(env={"COLUMNS": "400"}).invoke(app, ["dashboard", "--host", "0.0.0.0"])
    assert done.exit_code == 2
    assert "without sign-in it may be read on this machine only, not on 0.0.0.0" in done.output
    assert "abp token create NAME --scope read" in done.output


@pytest.mark.parametrize(("host", "sign_in"), [("127.0.0.1", None), ("localhost", None), ("0.0.0.0", "token")])
def test_on_this_machine_or_with_sign_in_it_is_served(
    monkeypatch: pytest.MonkeyPatch, host: str, sign_in: str | None
) -> None:
    started: list[list[str]] = []

    def call(words: list[str]) -> int:
        started.append(words)
        return 0

    monkeypatch.setattr("subprocess.call", call)
    if sign_in:
        monkeypatch.setenv("ABP_DASHBOARD_SIGN_IN", sign_in)
    else:
        monkeypatch.delenv("ABP_DASHBOARD_SIGN_IN", raising=False)
    assert CliRunner().invoke(app, ["dashboard", "--host", host, "--port", "8600"]).exit_code == 0
    assert started == [command(8600, host)]


def test_no_browser_is_opened_on_a_host_that_serves_others() -> None:
    assert "--server.headless=true" in command(8600, "0.0.0.0")
    assert not any("headless" in word for word in command(8600))


def test_what_the_pages_load_is_loaded_before_anybody_is_let_in() -> None:
    loaded = "from dashboards.__main__ import load; import json, sys; load(); print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", loaded], check=True, capture_output=True, text=True)
    found = set(json.loads(done.stdout))
    assert sorted(_imported() - found) == []
    assert {"altair", "pandas", "ab_platform.storage.store"} <= found
    assert not {"torch", "airflow", "dashboards.reading"} & found
    assert command()[1:4] == ["-m", "dashboards", "run"]


def test_what_is_loaded_is_not_gone_through_for_what_is_unused() -> None:
    told = """
import gc, json
import streamlit.web.cli
from dashboards.__main__ import main
streamlit.web.cli.main = lambda **_: print(json.dumps([gc.get_freeze_count(), len(gc.get_objects())]))
main()
"""
    done = subprocess.run([sys.executable, "-c", told], check=True, capture_output=True, text=True)
    kept, gone_through = json.loads(done.stdout)
    assert 100 * gone_through < kept


def _imported() -> set[str]:
    """Return the modules of the platform that the dashboard's files import."""
    nodes = (node for path in FOLDER.rglob("*.py") for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    named = {
        name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ab_platform")
        for name in (node.module or "", *(f"{node.module}.{each.name}" for each in node.names))
    }
    return {name for name in named if _is_module(name)}


def _is_module(name: str) -> bool:
    path = FOLDER.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()
