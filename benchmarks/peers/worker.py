"""A process that opens something once and then answers questions about it.

A question is a line of JSON into its standard input, an answer one out of a pipe of its own, so
that whatever its libraries print goes to a log and not between the answers.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NoReturn, Self

from unetrt.errors import WorkerFailed

from ..children import last_line

__all__ = ["Worker"]

_LOOK_AGAIN_S = 1.0
"""A child that died may have left the pipe open in a child of its own."""

_LAST_WORDS_S = 5.0
"""For a child whose pipe ended to end itself."""

_SHOWN = 200
"""Characters of an answer that is none."""


class Worker:
    """Runs `command --answers FD`, and closes it whatever happens.

    The child says `{"opened": ...}` when it is ready, and answers `{"do": QUESTION, ...}` with
    `{QUESTION: ...}`, or says `{"failed": WHY}`. A child that fails once is closed: it is asked
    nothing more. It leaves by itself when its standard input ends, should this process be killed.

    Attributes:
        opened: what it said when it was ready.
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
        self._answers, answers = os.pipe()
        try:
            with log.open("wb") as output:
                self._process = subprocess.Popen(
                    [*command, "--answers", str(answers)],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=(answers,),
                    env=os.environ | (environment or {}),
                    start_new_session=True,  # to be killed with the processes it starts
                )
        except OSError as error:
            os.close(self._answers)
            raise WorkerFailed(f"{name} cannot be started", got=error) from error
        finally:
            os.close(answers)
        self.opened = self._answer("opened", timeout_s)

    def ask(self, question: str, *, timeout_s: float, **fields: Any) -> Any:
        """Return the child's answer.

        Raises:
            WorkerFailed: it failed, died, took longer than `timeout_s` or talks nonsense; it is
                closed then.
        """
        line = json.dumps({"do": question, **fields}) + "\n"
        stdin = self._process.stdin
        if stdin is None or stdin.closed:
            raise WorkerFailed(f"{self._name} was closed and cannot be asked", got=question)
        try:
            stdin.write(line.encode())
            stdin.flush()
        except BrokenPipeError:
            self._died()
        return self._answer(question, timeout_s)

    def close(self) -> None:
        """Kill the child, and what it started, unless it is gone."""
        if self._process.stdin is None or self._process.stdin.closed:
            return
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        os.close(self._answers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _answer(self, question: str, timeout_s: float) -> Any:
        try:
            line = self._line(timeout_s)
            said = json.loads(line)
            if "failed" in said:
                self._fail("failed", said["failed"])
            return said[question]
        except (ValueError, KeyError, TypeError):
            shown = line[:_SHOWN].decode(errors="replace")
            self._fail("gave no answer", repr(shown), expected=f"JSON that says {question!r}")
        except BaseException:  # Ctrl-C while it waits
            self.close()
            raise

    def _line(self, timeout_s: float) -> bytes:
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._read:
            left = deadline - time.monotonic()
            if left <= 0:
                self._fail("was stopped", f"no answer in {timeout_s:g} s; {last_line(self._log)}")
            if wait([self._answers], min(left, _LOOK_AGAIN_S)):
                came = os.read(self._answers, 1 << 16)
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
