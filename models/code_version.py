"""Which code trained a recommender: one short hash over the sources that its module needs, and no others.

So a new arm, or a change to one, leaves what is known of the other arms as it is.
"""

import ast
import functools
import hashlib
from importlib.util import find_spec
from pathlib import Path

from models.registry import module_of

PACKAGE = "models"


def code_version(recommender: str) -> str:
    """Return the first 12 hex digits of the SHA-256 over the names and texts of an arm's modules.

    These are its own and, of this package, those that it imports, directly or through others.

    Raises:
        ModelError: the recommender is unknown.
    """
    return _hash_of(module_of(recommender))


def sources_of(module: str) -> dict[str, bytes]:
    """Return the text of a module and of all modules of this package that it needs, by module name."""
    found: dict[str, bytes] = {}
    left = [module]
    while left:
        name = left.pop()
        source = None if name in found else _source(name)
        if source is not None:
            found[name] = source
            left += _imported(source)
    return found


@functools.cache
def _hash_of(module: str) -> str:
    digest = hashlib.sha256()
    for name, text in sorted(sources_of(module).items()):
        digest.update(f"{name} {len(text)}\n".encode() + text)
    return digest.hexdigest()[:12]


def _source(module: str) -> bytes | None:
    """Return a module's text; None for what is no module, such as a class imported from one."""
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        return None
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).read_bytes().replace(b"\r\n", b"\n")  # a checkout may change line ends


def _imported(source: bytes) -> list[str]:
    """Return what a text imports of this package, wherever in it; a name from a module may be a module itself."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.partition(".")[0] == PACKAGE]
