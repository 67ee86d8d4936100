"""The OpenAPI description: what FastAPI makes of the routes, with problems under their own content type."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from fastapi import FastAPI

from ab_platform.api.calls import JSON, PROBLEM

FIRST_PROBLEM = 400


def describe(app: FastAPI) -> None:
    """Let an application describe itself so."""
    plain = app.openapi

    @cache
    def described() -> dict[str, Any]:
        document = plain()
        for response in _problems(document):
            response["content"] = {PROBLEM: response["content"][JSON]}
        return document

    app.openapi = described  # type: ignore[method-assign]


def _problems(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Go through the responses that are problems."""
    for operations in document["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if int(status) >= FIRST_PROBLEM and "Problem" in str(response.get("content", {}).get(JSON, "")):
                    yield response
