"""A process that holds a library of its own and runs when it is asked to.

So libraries that disturb each other in one process, or take its memory, still take turns.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from types import TracebackType
from typing import Any, Self

from unetrt.errors import CheckFailed

from .children import QUIET

__all__ = ["Server"]


class Server:
    """One of `unetrt.benchmarks.jobs`, asked in lines of JSON and answering each with another.

    A context manager; the process is stopped at its end.

    Args:
        job: its name in there.
        arguments: of its command line.
        timeout_s: that it may take for an answer.
    """

    def __init__(self, job: str, arguments: tuple[str, ...], *, timeout_s: float) -> None:
        self._name = " ".join((job, *arguments))
        self._timeout_s = timeout_s
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the server)
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"unetrt.benchmarks.jobs.{job}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=os.environ | QUIET,
        )

    def ask(self, **question: Any) -> dict[str, Any]:
        """Return the answer.

        Raises:
            CheckFailed: there is none in time, or the process has ended; holds its last words.
        """
        assert self._process.stdin is not None  # noqa: S101
        assert self._process.stdout is not None  # noqa: S101
        too_late = threading.Timer(self._timeout_s, self._process.kill)
        too_late.start()
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = b""
        finally:
            too_late.cancel()
        if not answer:
            raise CheckFailed(f"The job {self._name} gave no answer", got=self._last_words())
        found: dict[str, Any] = json.loads(answer)
        return found

    def close(self) -> None:
        """Stop the process."""
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def _last_words(self) -> str:
        status = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else f"exit status {status}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()
