"""Freed memory stays while a training runs, and goes back afterwards."""

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, resource
import numpy as np
from models.allocation import kept

def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        np.ones(50 * 2**20, dtype=np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

faults(1)
plain = faults(5)
with kept():
    faults(1)
    inside = faults(5)
    held = resident()
print(plain, inside, faults(5), held - resident())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have another allocator")
def test_pages_are_touched_once_inside_and_given_back_afterwards() -> None:
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    plain, inside, after, returned = map(int, told.split())
    assert inside < plain / 10
    assert after > plain / 2
    assert returned > 40 * 2**20
