"""The dashboard asks only for what a running service tells, shows all of that, and explains each panel."""

from __future__ import annotations

import json
import re
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import Home
from tests.api.running import batch, served
from tests.api.scraped import Scraped, scraped, wait_for

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "ab-platform.json"
NAME = re.compile(r"\b(?:abp|process)_[a-z_]+\b")
LABELS = re.compile(r"\{([^}]*)\}")


@cache
def dashboard() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return read


def panels() -> list[dict[str, Any]]:
    return [each for each in dashboard()["panels"] if each["type"] != "row"]


def queries() -> list[str]:
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    variables = [each["definition"] for each in dashboard()["templating"]["list"] if each["type"] == "query"]
    return [*asked, *variables]


def family(sample: str) -> str:
    return re.sub(r"_(total|bucket|sum|count|created)$", "", sample)


def test_every_metric_that_is_asked_for_is_told_and_every_one_that_is_told_is_shown(home: Home, tmp_path: Path) -> None:
    with served(home.folder, home.url, workers=2, log=tmp_path / "log") as running:
        httpx.post(f"{running.url}/v1/recommendations", json={"user_id": "u001", "surface": "home_card"})
        httpx.post(f"{running.url}/v1/events", json={"events": batch(0)})

        def scrape() -> Scraped:
            return scraped(httpx.get(f"{running.url}/metrics").text)

        found = wait_for(scrape, lambda each: each.value("abp_events_total", type="impression", status="stored") == 50)
        found = wait_for(scrape, lambda each: "abp_slate_seconds_bucket" in each.names)
    asked = {name for query in queries() for name in NAME.findall(LABELS.sub("", query))}
    assert asked - found.names == set()
    assert {family(name) for name in found.names} - {family(name) for name in asked} == set()
    labels = {
        name: {label for each, pairs in found.samples if each == name for label, _ in pairs} | {"instance"}
        for name in asked
    }
    for query in queries():
        for name, matchers in re.findall(r"\b((?:abp|process)_[a-z_]+)\{([^}]*)\}", query):
            assert set(re.findall(r"(\w+)[!=]=?~?\"", matchers)) <= labels[name], query


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: str(panel["title"]))
def test_every_panel_has_a_unit_and_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert re.fullmatch(r"[A-Z0-9].{20,}\.", panel["description"])
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["expr"].count("(") == target["expr"].count(")")
        assert target["expr"].count("{") == target["expr"].count("}")


def test_panels_have_ids_of_their_own_and_do_not_lie_on_each_other() -> None:
    every = dashboard()["panels"]
    assert len({each["id"] for each in every}) == len(every)
    for each in every:
        assert each["gridPos"]["x"] + each["gridPos"]["w"] <= 24
    for one, other in combinations((each["gridPos"] for each in every), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)


def test_it_can_be_imported_where_prometheus_has_any_name() -> None:
    assert dashboard()["uid"] == "ab-platform"
    assert dashboard()["schemaVersion"] >= 39
    for panel in panels():
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert "datasource" in {each["name"] for each in dashboard()["templating"]["list"]}
