"""Documents: what a command found, kept whole as plain JSON for who shows it without computing it again."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from ab_platform.errors import StoreError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Kind = Literal["comparison", "geometry", "training"]

REMADE_BY: Mapping[Kind, str] = {"comparison": "abp evaluate", "geometry": "abp geometry", "training": "abp train"}
"""The command that writes documents of a kind."""

Shape = TypeVar("Shape")


@dataclass(frozen=True)
class Document:
    """What a command found.

    Attributes:
        kind: what it is; with the name, its key.
        name: of the data set, or as a person called it; of a training, the artifact's id.
        written_at: when it last changed.
        content: plain JSON values, from `plain`.
    """

    kind: Kind
    name: str
    written_at: datetime
    content: Mapping[str, Any]


def plain(found: DataclassInstance) -> dict[str, Any]:
    """Return a dataclass as plain JSON values, every number to its last digit.

    Raises:
        ValueError: a number is not finite, which JSON cannot say.
    """
    content: dict[str, Any] = json.loads(json.dumps(asdict(found), allow_nan=False))
    return content


def restored(shape: type[Shape], document: Document) -> Shape:
    """Return what a document holds, as it was.

    Args:
        shape: the dataclass that it was made from.
        document: read.

    Raises:
        StoreError: it was written by a version that kept something else.
    """
    try:
        return made(shape, document.content)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise StoreError(
            f"{document.kind} '{document.name}' is of another version of the platform, which differs at {place}; write "
            f"it again: run `{REMADE_BY[document.kind]}` as before"
        ) from error


def made(shape: type[Shape], content: Mapping[str, Any]) -> Shape:
    """Make a dataclass, and those in it, from plain values.

    Raises:
        ValidationError: a value is missing or not as the dataclass has it.
    """
    found: Shape = _adapter(cast(Hashable, shape)).validate_python(content)
    return found


@cache
def _adapter(shape: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast(type[object], shape))
