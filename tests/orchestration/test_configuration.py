"""How Airflow is configured: what the user set wins, taken ports are passed over, secrets are made once."""

from __future__ import annotations

import configparser
import socket
from contextlib import closing
from pathlib import Path

import pytest

from ab_platform.errors import PlatformError
from ab_platform.orchestration.configuration import COMPONENTS, Configuration, configure, free_port, supervisor_text
from ab_platform.settings import for_child, from_environment

DAGS = Path("dags").absolute()


def configured(home: Path, executor: str | None = None, **inherited: str) -> Configuration:
    return configure(home, dags=DAGS, inherited={"PATH": "/bin", **inherited}, executor=executor)


def test_the_addresses_agree_where_the_user_chooses_the_port(tmp_path: Path) -> None:
    found = configured(tmp_path, AIRFLOW__API__PORT="12345")
    assert found.address.url == "http://127.0.0.1:12345"
    assert found.environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:12345/execution/"


def test_what_the_user_set_wins_also_where_a_command_gives_it(tmp_path: Path) -> None:
    found = configured(
        tmp_path, AIRFLOW__CORE__EXECUTOR="CeleryExecutor", AIRFLOW__API_AUTH__JWT_SECRET_CMD="cat secret"
    )
    assert found.environment["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert "AIRFLOW__API_AUTH__JWT_SECRET" not in found.environment
    assert configured(tmp_path, "LocalExecutor").environment["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"


def test_a_port_that_is_taken_is_passed_over(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        taken = server.getsockname()[1]
        assert free_port("127.0.0.1", taken) != taken
    assert free_port("127.0.0.1", taken) == taken


def test_secrets_are_made_once_and_differ_between_homes(tmp_path: Path) -> None:
    first, again, other = (configured(tmp_path / name) for name in ("one", "one", "other"))
    secret = "AIRFLOW__API_AUTH__JWT_SECRET"
    assert first.environment[secret] == again.environment[secret] != other.environment[secret]
    assert first.address.password == again.address.password != other.address.password
    assert first.environment[secret] not in repr(first)


def test_the_supervisor_reads_paths_with_blanks_and_percent_signs(tmp_path: Path) -> None:
    home = tmp_path / "a 100% home"
    text = supervisor_text(configured(home))
    parsed = configparser.ConfigParser()
    parsed.read_string(text)
    for component in COMPONENTS:
        assert f"'{home}'" in parsed[f"program:{component}"]["command"]
        assert parsed[f"program:{component}"]["autorestart"] == "true"


def test_a_child_gets_absolute_paths_and_keeps_the_rest(tmp_path: Path) -> None:
    environment = {"ABP_HOME": str(tmp_path), "OTHER": "kept"}
    child = for_child(from_environment(environment), environment)
    assert child["OTHER"] == "kept"
    assert child["ABP_DATABASE_URL"] == f"sqlite:///{tmp_path / 'abp.db'}"
    assert Path(child["ABP_EXPERIMENTS"], "pia-vs-multivae.toml").is_file()


def test_settings_keep_secrets_to_themselves_and_name_the_variable_that_is_wrong() -> None:
    secrets = {
        "ABP_DATABASE_URL": "postgresql://me:secret1@db/abp",
        "ABP_AIRFLOW_PASSWORD": "secret2",
        "ABP_AIRFLOW_TOKEN": "secret3",
        "ABP_ALERT_WEBHOOK": "https://chat/secret4",
        "ABP_SMTP_URL": "smtp://me:secret5@mail",
    }
    assert "secret" not in repr(from_environment(secrets))
    for wrong in ("0", "two", "-1", "1.5"):
        with pytest.raises(PlatformError, match=f"ABP_GPUS is '{wrong}'; it must be a whole number from 1"):
            from_environment({"ABP_GPUS": wrong})
