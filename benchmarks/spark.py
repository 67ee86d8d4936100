"""A standalone cluster of Spark on this machine: a master and two workers, bound to the loopback address.

python -m benchmarks.spark [COMMAND ...]

runs a command with ABP_WAREHOUSE set to the cluster's address; without one the cluster runs until Ctrl-C.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

LOOPBACK = "127.0.0.1"
WORKERS = 2
STARTS_WITHIN_SECONDS = 90.0


@contextmanager
def cluster(workers: int = WORKERS) -> Iterator[str]:
    """Run a cluster, and give its address."""
    port = _free_port()
    address = f"spark://{LOOPBACK}:{port}"
    with ExitStack() as stack:
        stack.enter_context(_daemon("master.Master", ["--host", LOOPBACK, "--port", str(port)]))
        _wait_for(port)
        for _ in range(workers):
            stack.enter_context(_daemon("worker.Worker", ["--host", LOOPBACK, "--cores", "1", "-m", "1g", address]))
        yield address


@contextmanager
def _daemon(name: str, options: Sequence[str]) -> Iterator[None]:
    import pyspark

    script = Path(pyspark.__file__).parent / "bin" / "spark-class"
    environment = {**os.environ, "SPARK_LOCAL_IP": LOOPBACK, "SPARK_HOME": str(script.parent.parent)}
    command = ["bash", str(script), f"org.apache.spark.deploy.{name}", *options, "--webui-port", "0"]
    running = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        running.terminate()
        running.wait(timeout=30)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((LOOPBACK, 0))
        port: int = found.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    until = monotonic() + STARTS_WITHIN_SECONDS
    while monotonic() < until:
        with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1.0):
            return
        sleep(0.5)
    sys.exit(f"the master of Spark did not answer within {STARTS_WITHIN_SECONDS:.0f} s; see that Java 17 is installed")


def main(command: Sequence[str]) -> int:
    """Run a command on a cluster, or the cluster until it is stopped."""
    with cluster() as address:
        print(f"ABP_WAREHOUSE={address}", flush=True)
        if command:
            environment = {**os.environ, "ABP_WAREHOUSE": address}
            return subprocess.run(
                [each.replace("MASTER", address) for each in command], env=environment, check=False
            ).returncode
        with suppress(KeyboardInterrupt):
            while True:
                sleep(3600)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
