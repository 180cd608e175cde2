"""How much memory this process holds, and held at most."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

__all__ = ["peak_rss_bytes", "rss_bytes", "start_peak"]

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_RESET_PEAK = "5"


def rss_bytes() -> int:
    """Return the bytes of memory that are resident now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def start_peak() -> bool:
    """Forget the peak so far; False where the system does not let us (proc(5), clear_refs)."""
    try:
        _CLEAR_REFS.write_text(_RESET_PEAK)
    except OSError:
        return False
    return True


def peak_rss_bytes() -> int:
    """Return the most bytes that were resident at once since `start_peak`, or since the start."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
