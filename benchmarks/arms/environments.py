"""The peers' environments: made once beside the results, pinned to the last package, and never mixed with our own."""

from __future__ import annotations

import shlex
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from benchmarks.arms.plan import requirements


def python_of(peer: str, home: Path, *, torch: str) -> Path:
    """Return the interpreter of a peer's environment, which is made where it is not there as it should be.

    Args:
        peer: `recbole` or `cornac`; its packages are in `requirements-PEER.txt`.
        home: the folder of environments.
        torch: what to hand to pip for torch, such as `torch==2.13.0`, with options.

    Raises:
        SystemExit: a package cannot be installed.
    """
    return made(peer, home, requirements(peer), first=torch)


def made(peer: str, home: Path, packages: Path, *, first: str = "") -> Path:
    """Return the interpreter of an environment, which is made where it is not there as it should be.

    Args:
        peer: whose; the name of its folder.
        home: the folder of environments.
        packages: every one of them, pinned.
        first: what to hand to pip before them, with options.

    Raises:
        SystemExit: a package cannot be installed.
    """
    wanted = sha256("\n".join([sys.version, first, packages.read_text(encoding="utf-8")]).encode()).hexdigest()
    environment = home / peer
    python, marker = environment / "bin" / "python", environment / "made-from"
    if marker.exists() and marker.read_text(encoding="utf-8") == wanted:
        return python
    print(f"making the environment of {peer} in {environment} (once, about a minute)", flush=True)
    _run(peer, [sys.executable, "-m", "venv", "--clear", str(environment)])
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if first:
        _run(peer, [*install, *shlex.split(first)])
    _run(peer, [*install, "--no-deps", "--requirement", str(packages)])
    marker.write_text(wanted, encoding="utf-8")
    return python


def _run(peer: str, command: list[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(
            f"{done.stderr.strip()}\nthe environment of {peer} cannot be made: {shlex.join(command)} failed; "
            f"see to it that pip reaches a registry, or leave this side out with --without {peer}"
        )
