"""What Airflow says where it refuses a request, as an error with the next step."""

from __future__ import annotations

import ast
import re
import textwrap

import httpx

from ab_platform.errors import AirflowError, NotFoundError, PlatformError


def refusal(answer: httpx.Response, where: str) -> PlatformError:
    """Return the error that a refusal is.

    Args:
        answer: of Airflow.
        where: its address.
    """
    if is_stale(answer):
        return AirflowError(f"Airflow at {where} does not take the token; set ABP_AIRFLOW_TOKEN to a fresh one")
    match answer.status_code:
        case httpx.codes.FORBIDDEN:
            return AirflowError(f"Airflow at {where} forbids this ({detail_of(answer)}); sign in as one who may")
        case httpx.codes.NOT_FOUND:
            return NotFoundError(f"Airflow at {where}: {detail_of(answer)}; `abp status --airflow` lists the runs")
    return AirflowError(f"Airflow refuses: {detail_of(answer)}")


def is_stale(answer: httpx.Response) -> bool:
    """Return whether a token is not taken: one that expired, or, forbidden with these words, one of other secrets."""
    return answer.status_code == httpx.codes.UNAUTHORIZED or (
        answer.status_code == httpx.codes.FORBIDDEN and "JWT" in detail_of(answer)
    )


def detail_of(answer: httpx.Response) -> str:
    """Return what Airflow says of a refusal; of a broken JSON schema, the sentence and the schema's hint."""
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return answer.text.strip().splitlines()[0][:200] if answer.text.strip() else answer.reason_phrase
    if isinstance(detail, list):
        return "; ".join(f"{'.'.join(map(str, each.get('loc', ())))}: {each.get('msg')}" for each in detail)
    if isinstance(detail, dict):
        return str(detail.get("message") or detail.get("reason") or detail)
    sentence = str(detail).strip().split("\n\n")[0].strip()
    return ". ".join([sentence, *_hints(str(detail))])


def _hints(detail: str) -> list[str]:
    """Return the hint of the part of a form's schema that was broken, where it has one: what to type."""
    printed = re.search(r"in schema[^\n]*:\n(.*?)\n\nOn instance", detail, re.DOTALL)
    try:
        schema = ast.literal_eval(textwrap.dedent(printed[1])) if printed else {}
    except (SyntaxError, ValueError):  # printed in another way by another version
        return []
    return [str(schema["hint"])] if "hint" in schema else []
