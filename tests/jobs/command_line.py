"""Run the command line in this process: the one place that knows where it lives."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from unetrt.__main__ import app


@dataclass(frozen=True)
class Run:
    """Exit status and text of one run."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def result(self) -> Any:
        """Return the JSON that a successful run printed."""
        assert self.exit_code == 0, self.stdout + self.stderr
        return json.loads(self.stdout)

    def refusal(self, exit_code: int) -> str:
        """Return the one sentence that a run ended with which had to fail with `exit_code`."""
        assert self.exit_code == exit_code, self.stdout + self.stderr
        assert "Traceback" not in self.stdout + self.stderr
        (sentence,) = (line for line in self.stderr.splitlines() if line.startswith("error: "))
        return sentence


def run_cli(*words: object) -> Run:
    """Run `unetrt` with these words."""
    run = CliRunner().invoke(app, [str(word) for word in words])
    if run.exception is not None and not isinstance(run.exception, SystemExit):
        raise run.exception
    return Run(run.exit_code, run.stdout, run.stderr)
