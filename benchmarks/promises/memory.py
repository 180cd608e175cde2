"""Measure the memory of this process: what is resident now, and what was at most."""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path

__all__ = ["peak_rss_bytes", "rss_bytes", "start_peak"]

_RESET_PEAK = "5"


def rss_bytes() -> int:
    """Return the bytes of memory that are resident now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def start_peak() -> None:
    """Forget the peak so far, where the system lets us (proc(5), clear_refs)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK)


def peak_rss_bytes() -> int:
    """Return the most bytes that were resident at once since `start_peak`, or since the start."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
