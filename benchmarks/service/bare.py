"""A FastAPI application that does nothing: what a request costs before anything is done for it."""

from __future__ import annotations

from fastapi import FastAPI

app = FastAPI()


@app.post("/v1/assignments")
async def nothing() -> dict[str, str]:
    """Answer."""
    return {}
