"""Run children: wait for the result of one, or send it requests one after another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NoReturn

from unetrt.errors import WorkerFailed
from unetrt.files import Closing

__all__ = ["QUIET", "ChildResult", "Worker", "run_child"]

QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}
"""Variables that a child's environment has besides ours."""


@dataclass(frozen=True, slots=True)
class ChildResult:
    """Hold the result of a child.

    Attributes:
        found: the JSON it wrote into `result.json`, also where it failed later; else empty.
        failure: the "reason" in that JSON, else its last line, or that it was stopped; None where
            all went well.
    """

    found: dict[str, Any]
    failure: str | None


def run_child(
    module: str,
    arguments: tuple[str, ...],
    folder: Path,
    timeout_s: float,
    python: Path | None = None,
) -> ChildResult:
    """Run `python -m module arguments --out folder` and return the `result.json` that it writes.

    A child that fails, crashes, writes no JSON or takes longer than `timeout_s` is a result, not an
    error.

    Args:
        module: to run.
        arguments: words before `--out`.
        folder: for the result and the log.
        timeout_s: seconds after which the child is stopped.
        python: another interpreter.
    """
    command = [str(python or sys.executable), "-m", module, *arguments, "--out", str(folder)]
    log = folder / "log.txt"
    try:
        with log.open("wb") as output:
            status = subprocess.run(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
                env=os.environ | QUIET,
            ).returncode
    except subprocess.TimeoutExpired:
        return ChildResult(_found(folder), f"stopped after {timeout_s:g} s")
    found = _found(folder)
    if status < 0:
        return ChildResult(found, f"killed by signal {-status}")
    if status or not found:
        return ChildResult(found, found.pop("reason", None) or last_line(log))
    return ChildResult(found, None)


def _found(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def last_line(log: Path) -> str:
    """Return the last line of a log."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "it said nothing"


_POLL_S = 1.0
"""A child that died may have left the pipe open in a child of its own."""

_LAST_WORDS_S = 5.0
"""For a child whose pipe ended to end itself."""

_SHOWN = 200
"""Characters of a reply that is none."""


class Worker(Closing):
    """Run `command --replies FD`, send it requests, and close it whatever happens.

    The child writes `{"opened": ...}` when it is ready, and replies to `{"do": REQUEST, ...}` with
    `{REQUEST: ...}`, or writes `{"failed": WHY}`. A child that fails once is closed. It ends by
    itself when its standard input ends, should this process be killed.

    Attributes:
        opened: what it wrote when it was ready.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        name: str,
        log: Path,
        timeout_s: float,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start the child and wait until it is ready.

        Raises:
            WorkerFailed: it cannot be started, died, or took longer than `timeout_s`.
        """
        self._name = name
        self._log = log
        self._read = b""
        self._replies, replies = os.pipe()
        try:
            with log.open("wb") as output:
                self._process = subprocess.Popen(
                    [*command, "--replies", str(replies)],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=(replies,),
                    env=os.environ | (environment or {}),
                    start_new_session=True,  # to be killed with the processes it starts
                )
        except OSError as error:
            os.close(self._replies)
            raise WorkerFailed(f"{name} cannot be started", got=error) from error
        finally:
            os.close(replies)
        self.opened = self._reply("opened", timeout_s)

    def ask(self, request: str, *, timeout_s: float, **fields: Any) -> Any:
        """Send a request and return the reply.

        Raises:
            WorkerFailed: it failed, died, took longer than `timeout_s` or sent nonsense; it is
                closed then.
        """
        line = json.dumps({"do": request, **fields}) + "\n"
        stdin = self._process.stdin
        if stdin is None or stdin.closed:
            raise WorkerFailed(f"{self._name} was closed and cannot be asked", got=request)
        try:
            stdin.write(line.encode())
            stdin.flush()
        except BrokenPipeError:
            self._died()
        return self._reply(request, timeout_s)

    def close(self) -> None:
        """Kill the child, and what it started, unless it is gone."""
        if self._process.stdin is None or self._process.stdin.closed:
            return
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        os.close(self._replies)

    def _reply(self, request: str, timeout_s: float) -> Any:
        try:
            line = self._line(timeout_s)
            said = json.loads(line)
            if "failed" in said:
                self._fail("failed", said["failed"])
            return said[request]
        except (ValueError, KeyError, TypeError):
            shown = line[:_SHOWN].decode(errors="replace")
            self._fail("sent no reply", repr(shown), expected=f"JSON with {request!r}")
        except BaseException:  # Ctrl-C while it waits
            self.close()
            raise

    def _line(self, timeout_s: float) -> bytes:
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._read:
            left = deadline - time.monotonic()
            if left <= 0:
                self._fail("was stopped", f"no reply in {timeout_s:g} s; {last_line(self._log)}")
            if wait([self._replies], min(left, _POLL_S)):
                came = os.read(self._replies, 1 << 16)
                if not came:
                    self._died()
                self._read += came
            elif self._process.poll() is not None:
                self._died()
        line, _, self._read = self._read.partition(b"\n")
        return line

    def _died(self) -> NoReturn:
        try:
            status: int | None = self._process.wait(_LAST_WORDS_S)
        except subprocess.TimeoutExpired:
            status = None
        how = (
            "it closed its pipe"
            if status is None
            else f"killed by signal {-status}"
            if status < 0
            else f"exit status {status}"
        )
        self._fail("died", f"{how}; {last_line(self._log)}")

    def _fail(self, what: str, got: str, expected: str | None = None) -> NoReturn:
        self.close()
        raise WorkerFailed(f"{self._name} {what}", got=got, expected=expected)
