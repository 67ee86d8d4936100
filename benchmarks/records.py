"""What long measurements leave behind: a line a result, so that a run goes on where it was cut short, and a section."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch


def read(path: Path) -> dict[str, Any]:
    """Return the results so far by key; none where there is no file."""
    if not path.exists():
        return {}
    lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {line["key"]: line for line in lines}


def append(path: Path, result: Mapping[str, object]) -> None:
    """Add a result, one line of JSON with its `key`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(result) + "\n")


def put_section(path: Path, name: str, text: str) -> None:
    """Write a named section of a Markdown file, in the place of its earlier text where there is one."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    section = f"{begin}\n{text.strip()}\n{end}\n"
    before = path.read_text(encoding="utf-8") if path.exists() else "# Offline results\n"
    head, found, rest = before.partition(begin)
    if found:
        after = rest.partition(end)[2].lstrip("\n")
        whole = head + section + (f"\n{after}" if after else "")
    else:
        whole = f"{before.rstrip()}\n\n{section}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(whole, encoding="utf-8")


def versions() -> str:
    """Say what computed the results."""
    return (
        f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}, "
        f"scipy {scipy.__version__}"
    )
