"""The import edges of the design, as a table, checked by walking the tree."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

HEAVY = {"torch", "airflow", "streamlit", "fastapi", "sqlalchemy", "ibis", "pandas"}
WEB = {"fastapi", "starlette", "uvicorn"}

# folder or module -> what it must not import, whether at the top or inside a function
FORBIDDEN: dict[str, set[str]] = {
    "models": {"ab_platform", "dashboards", "sqlalchemy", "airflow", "streamlit", "pandas"},
    "dashboards": {"torch", "airflow", "models", "sqlalchemy", "ab_platform.cli", "ab_platform.api"},
    "ab_platform/cli": {"torch", "airflow", "sqlalchemy", "ab_platform.api"},
    "ab_platform/experiment.py": HEAVY | {"models", "ab_platform.storage"},
    "ab_platform/assignment.py": HEAVY | {"models", "ab_platform.storage"},
    "ab_platform/events.py": HEAVY | {"models", "ab_platform.storage"},
    "ab_platform/metrics.py": HEAVY | {"models", "ab_platform.storage"},
    "ab_platform/results.py": HEAVY | {"models", "ab_platform.storage"},
    "ab_platform/lineage.py": HEAVY | {"models", "ab_platform.storage"},
    "ab_platform/alerts.py": HEAVY | {"models", "ab_platform.storage"},
    "ab_platform/access.py": HEAVY | {"models", "ab_platform.storage"},
    "ab_platform/pseudonym.py": HEAVY | {"models", "ab_platform.storage"},
    "ab_platform/documents.py": HEAVY | {"models", "ab_platform.storage"},
    "ab_platform/latent_findings.py": HEAVY | {"models", "ab_platform.storage"},
    "ab_platform/training_log.py": HEAVY | {"models", "ab_platform.storage"},
    "ab_platform/offline/results.py": HEAVY | {"models", "ab_platform.storage"},
    "ab_platform/offline/frozen.py": HEAVY | {"models", "ab_platform.storage"},
    "ab_platform/erasing.py": HEAVY | {"models"},
    "ab_platform/client": HEAVY | {"models", "ab_platform.storage"},
    "ab_platform/openfeature": HEAVY | {"models", "ab_platform.storage"},
    "ab_platform/service": HEAVY,
    "ab_platform/api": HEAVY - {"fastapi"} | {"models", "ab_platform.cli", "dashboards", "dags"},
    "ab_platform/replay_http.py": HEAVY | {"models"},
    "ab_platform/rolling_up.py": HEAVY | {"models"},
    "ab_platform/archiving.py": HEAVY | {"models"},
    "ab_platform/assigning.py": HEAVY | {"models"},
    "ab_platform/retention.py": HEAVY | {"models"},
    "ab_platform/warehouse.py": HEAVY | {"models"},
    "ab_platform/conduct": HEAVY,
    "ab_platform/orchestration": HEAVY | {"models", "ab_platform.storage", "ab_platform.cli"},
    "ab_platform/quality.py": HEAVY,
    "ab_platform/training_command.py": HEAVY,
    "dags": {
        "torch",
        "streamlit",
        "fastapi",
        "sqlalchemy",
        "ibis",
        "pandas",
        "models",
        "ab_platform.cli",
        "dashboards",
    },
    "ab_platform/statistics": HEAVY | {"models", "ab_platform.storage", "ab_platform.analysis"},
    "ab_platform/reporting": HEAVY | {"models", "ab_platform.storage", "ab_platform.analysis"},
    "ab_platform/storage": {"torch", "airflow", "streamlit", "models", "ab_platform.analysis", "ab_platform.serving"},
    "ab_platform/analysis": HEAVY | {"models"},
    "ab_platform/planning.py": HEAVY | {"models"},
    "ab_platform/past.py": HEAVY | {"models"},
    "ab_platform/power_plan.py": HEAVY | {"models", "ab_platform.storage"},
    "ab_platform/stored_past.py": HEAVY | {"models", "ab_platform.storage"},
    "ab_platform/drafting.py": HEAVY | {"models", "ab_platform.storage"},
    "ab_platform/user_story.py": HEAVY | {"models", "ab_platform.storage"},
    "ab_platform/diagnosis": HEAVY | {"models"},
    "ab_platform/simulation": HEAVY | {"models.multi_vae"},
    "ab_platform/published.py": HEAVY | {"models", "ab_platform.storage"},
    "ab_platform/serving.py": HEAVY,
    "ab_platform/replay.py": HEAVY,
    "ab_platform/training.py": HEAVY,
    "ab_platform/offline": HEAVY,
    "ab_platform/geometry.py": HEAVY,
    "ab_platform/tuning": HEAVY,
}

# library -> the only folders that may import it
OWNERS: dict[str, tuple[str, ...]] = {
    "torch": ("models", "benchmarks"),
    "streamlit": ("dashboards",),
    "airflow": ("dags",),
    "sqlalchemy": ("ab_platform/storage", "migrations"),
    "ibis": ("ab_platform/storage", "benchmarks"),
    "duckdb": ("ab_platform/storage/warehouse", "benchmarks"),
    "fastapi": ("ab_platform/api", "benchmarks"),
    "pyspark": ("ab_platform/storage/warehouse", "benchmarks"),
    "implicit": ("models",),
    "optuna": ("ab_platform/tuning",),
    "sklearn": ("models",),
}


def sources(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return sorted(path for path in found if "__pycache__" not in path.parts)


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def breaches(path: Path, forbidden: set[str]) -> set[str]:
    return {name for name in imports(path) for root in forbidden if name == root or name.startswith(f"{root}.")}


@pytest.mark.parametrize("place", FORBIDDEN)
def test_nothing_imports_what_lies_above_it_or_beside_it(place: str) -> None:
    files = [ROOT / place] if place.endswith(".py") else sources(place)
    assert files, f"{place} is in the table of edges but not in the tree"
    assert {path.name: found for path in files if (found := breaches(path, FORBIDDEN[place]))} == {}


@pytest.mark.parametrize("library", OWNERS)
def test_a_library_is_imported_by_its_owner_only(library: str) -> None:
    everything = sources("ab_platform", "models", "dags", "dashboards", "migrations", "benchmarks")
    strangers = {
        str(path.relative_to(ROOT))
        for path in everything
        if breaches(path, {library}) and not str(path.relative_to(ROOT)).startswith(OWNERS[library])
    }
    assert strangers == set()


def test_only_the_edges_read_the_environment() -> None:
    readers = {
        str(path.relative_to(ROOT))
        for path in sources("ab_platform", "models", "dags", "dashboards")
        if "os.environ" in path.read_text(encoding="utf-8") or "os.getenv" in path.read_text(encoding="utf-8")
    }
    assert readers <= {"ab_platform/settings.py", "ab_platform/cli/main.py"}
