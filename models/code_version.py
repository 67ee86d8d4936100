"""Which code trained a recommender: one short hash over the sources of this package."""

import hashlib
from pathlib import Path


def code_version() -> str:
    """Return the first 12 hex digits of the SHA-256 over the names and texts of `models/*.py`."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        text = source.read_bytes().replace(b"\r\n", b"\n")  # a checkout may change line ends
        digest.update(f"{source.name} {len(text)}\n".encode() + text)
    return digest.hexdigest()[:12]
