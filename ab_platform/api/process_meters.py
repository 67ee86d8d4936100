"""Memory, processor time and open files of a worker, under the names that Prometheus clients share."""

from __future__ import annotations

from time import process_time

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector


class ProcessMeters:
    """The meters of this process; on systems without /proc, only its processor time.

    Args:
        registry: takes them.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._proc = ProcessCollector(registry=None)
        self._cpu = Counter("process_cpu_seconds", "User and system processor time of all workers.", registry=registry)
        self._cpu_told = 0.0
        self._gauges = {
            name: Gauge(name, told, multiprocess_mode="liveall", registry=registry)
            for name, told in {
                "process_resident_memory_bytes": "Memory of a worker.",
                "process_open_fds": "Open files and connections of a worker.",
                "process_max_fds": "Files and connections that a worker may have open.",
                "process_start_time_seconds": "When a worker started, unix time.",
            }.items()
        }

    def note(self) -> None:
        """Note how the process stands."""
        spent = process_time()
        self._cpu.inc(spent - self._cpu_told)
        self._cpu_told = spent
        for family in self._proc.collect():
            gauge = self._gauges.get(family.name)
            if gauge is not None:
                gauge.set(family.samples[0].value)
