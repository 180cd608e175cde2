"""What runs beside the tests: looked up in /proc, so on Linux only."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

MARK = "UNETRT_TEST_PROCESS"
"""In the environment of all that this process starts, and of what those start in their turn."""


def runs(pid: int) -> bool:
    """Tell whether a process is there and is no zombie that nobody has reaped yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children() -> set[int]:
    """Return the children of this process that are no zombies."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == os.getpid() and state != "Z":
            found.add(int(stat.parent.name))
    return found


def mark_descendants() -> None:
    """Let every process that is started from now on be found by `descendants`."""
    os.environ[MARK] = str(os.getpid())


def descendants() -> dict[int, str]:
    """Return the command lines of the marked processes, those whose parent died included."""
    mark = f"{MARK}={os.getpid()}".encode()
    found = {}
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            marked = mark in environ.read_bytes().split(b"\0")
            command = environ.with_name("cmdline").read_bytes()
        except OSError:  # another user's, or over by now
            continue
        if marked:
            found[int(environ.parent.name)] = command.replace(b"\0", b" ").decode()
    return found


def comes_true(condition: Callable[[], bool], *, within_s: float = 60) -> bool:
    """Wait until a condition holds; what must hold at once on any machine is not waited for.

    The limit is for what never comes true: a busy machine takes what it takes.
    """
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def ends(pid: int) -> bool:
    """Wait until a process is over; return whether it is."""
    return comes_true(lambda: not runs(pid))
