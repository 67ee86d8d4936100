"""Where Airflow is and who signs in: from the settings, else from the file that `abp airflow` leaves."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ab_platform.errors import AirflowAwayError
from ab_platform.orchestration.private import write_private

FILE = "address.json"


@dataclass(frozen=True)
class Address:
    """Where Airflow is and who signs in.

    Attributes:
        url: of the API server and of the pages, without a slash at the end.
        user: who signs in; None where a token is given.
        password: of the user.
        token: instead of user and password.
    """

    url: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)


def write(home: Path, address: Address) -> None:
    """Leave the address in Airflow's home, for the owner's eyes only."""
    write_private(home / FILE, json.dumps(asdict(address), indent=2) + "\n")


def read(home: Path) -> Address | None:
    """Return the address that was left, or None."""
    try:
        return Address(**json.loads((home / FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def find(home: Path, *, url: str | None, user: str | None, password: str | None, token: str | None) -> Address:
    """Return the address that is given, completed by the one that `abp airflow` left in Airflow's home.

    What was left signs in only where it was left for: a password is not sent to another address.

    Raises:
        AirflowAwayError: where there is neither.
    """
    left = read(home)
    if url is None and left is None:
        raise AirflowAwayError(
            f"no Airflow is known: ABP_AIRFLOW_URL is not set and none was started in {home}; "
            "run `abp airflow` in another terminal, or set ABP_AIRFLOW_URL, ABP_AIRFLOW_USER and ABP_AIRFLOW_PASSWORD"
        )
    if left is None or (url is not None and url.rstrip("/") != left.url):
        return Address(str(url).rstrip("/"), user, password, token)
    return Address(left.url, user or left.user, password or left.password, token)
