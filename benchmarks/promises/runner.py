"""Run a promise: start its children in fresh processes, judge what they measured, write the JSON.

A script calls functions of its own, or of another promise, in children:

    found = run_in_child(partial(time_overhead, model="m.onnx", backend="openvino"))

starts `python -m unetrt.benchmarks.promises.overhead --child time_overhead JSON --out FOLDER`,
whose `run_script` calls the function with the fields of the JSON and writes what it returns. A
child imports what it measures inside that function, so that its parent stays light.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from unetrt.errors import CheckFailed, UnetrtError
from unetrt.files import write_text

from ..machine import describe_machine
from ..processes import ChildResult, run_child

__all__ = [
    "Verdict",
    "child_command",
    "note",
    "report",
    "run_in_child",
    "run_script",
    "script_parser",
    "try_in_child",
]

_TIMEOUT_S = 3600
_MARKS = {True: "ok", False: "MISSED", None: "-"}
_COLOURS = re.compile("\x1b\\[[0-9;]*m")
_MOST_CHARACTERS = 220


@dataclass(frozen=True, slots=True)
class Verdict:
    """Say what is promised, what was measured, and whether the promise is kept.

    Attributes:
        kept: None where nothing is promised, or where it cannot be measured here.
    """

    promise: str
    measured: str
    kept: bool | None


def report(verdicts: Sequence[Verdict], measured: dict[str, Any], out: Path) -> int:
    """Print each verdict, write them with the machine and the raw results as JSON to `out`.

    Returns the exit status: 1 where a promise is missed.

    Raises:
        OutputError: `out` cannot be written.
    """
    for verdict in verdicts:
        sys.stdout.write(f"{_MARKS[verdict.kept]:6} {verdict.promise}: {verdict.measured}\n")
    content = {
        "machine": describe_machine(),
        "verdicts": [asdict(verdict) for verdict in verdicts],
        **measured,
    }
    write_text(out, json.dumps(content, indent=1) + "\n")
    return int(any(verdict.kept is False for verdict in verdicts))


def script_parser(about: str | None) -> argparse.ArgumentParser:
    """Return a parser that has `--out` and is described by a script's docstring."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    return parser


def run_script(main: Callable[[], int]) -> int:
    """Run `main`, or the function that a parent process asks for; return the exit status."""
    if sys.argv[1:2] == ["--child"]:
        _run_child_function()
        return 0
    try:
        return main()
    except UnetrtError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status


def run_in_child(
    call: partial[Any], *, timeout_s: float = _TIMEOUT_S, python: Path | None = None
) -> dict[str, Any]:
    """Call a promise's function in a fresh process and return the dictionary it returns.

    Args:
        call: the function and its arguments: keywords, of types that JSON has.
        timeout_s: after which it is stopped.
        python: the interpreter, where it is not our own.

    Raises:
        CheckFailed: it failed; holds its words.
    """
    with tempfile.TemporaryDirectory() as folder:
        done = try_in_child(call, Path(folder), timeout_s=timeout_s, python=python)
    if done.failure is not None:
        fields = ", ".join(f"{name}={value!r}" for name, value in call.keywords.items())
        raise CheckFailed(f"{call.func.__name__}({fields}) failed", got=done.failure)
    return done.found


def try_in_child(
    call: partial[Any], folder: Path, *, timeout_s: float = _TIMEOUT_S, python: Path | None = None
) -> ChildResult:
    """Call a function as `run_in_child` does; a failure is a result. `folder` takes its log."""
    module, *words = child_command(call)
    return run_child(module, tuple(words), folder, timeout_s, python)


def child_command(call: partial[Any]) -> list[str]:
    """Return the words after `python -m` that call a promise's function."""
    module = call.func.__module__
    main = sys.modules["__main__"]
    if module == main.__name__ and main.__spec__ is not None:
        module = main.__spec__.name  # as `python -m` was told
    return [module, "--child", call.func.__name__, json.dumps(call.keywords)]


def note(folder: Path, **found: Any) -> None:
    """Add to the result of a child that writes into `folder`; what is there outlives a crash."""
    file = folder / "result.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    file.write_text(json.dumps(known | found), encoding="utf-8")


def _run_child_function() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--child", nargs=2, metavar=("FUNCTION", "JSON"))
    parser.add_argument("--out", type=Path, help="folder for result.json")
    parser.add_argument("--replies", type=int, help="file descriptor, for the child of a Worker")
    given = parser.parse_args()
    name, fields = given.child
    function = getattr(sys.modules["__main__"], name)
    if given.out is None:
        function(**json.loads(fields), replies=given.replies)
        return
    try:
        note(given.out, **function(**json.loads(fields)))
    except Exception as error:
        note(given.out, reason=f"{type(error).__name__}: {_on_one_line(str(error))}")
        raise


def _on_one_line(words: str) -> str:
    """Return an error's words without colours and line breaks, short enough for a table."""
    lines = [line.strip() for line in _COLOURS.sub("", words).splitlines()]
    line = " ".join(line for line in lines if line)
    return line if len(line) <= _MOST_CHARACTERS else line[:_MOST_CHARACTERS] + "..."
