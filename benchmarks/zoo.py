"""What of the zoo converts, agrees with Keras, and becomes an FP16 engine.

    python -m unetrt.benchmarks.zoo --out benchmarks/results/cpu-2-cores/zoo.json --docs docs/zoo.md

Each network has a process of its own and at most `--timeout` seconds. `--only NAME` takes some
again and keeps the file's other results. Needs the extra `zoo`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from unetrt import vendor
from unetrt.errors import BadInput
from unetrt.files import write_text

from .machine import describe_machine
from .processes import run_child
from .zoo_models import ZOO, ZooModel
from .zoo_page import row, zoo_page

__all__ = ["main", "visit"]

_TIMEOUT_S = 400


def visit(
    models: Iterable[ZooModel], timeout_s: float, say: Callable[[str], None] = print
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Take each model through every stage; give what each child found, and why one failed."""
    began = time.monotonic()
    for model in models:
        with tempfile.TemporaryDirectory() as folder:
            done = run_child(
                "unetrt.benchmarks.jobs.zoo",
                (model.name, "--recipes", model.recipes),
                Path(folder),
                timeout_s,
            )
            failure = done.failure and done.failure.replace(f"{folder}/", "")
        result = {"package": model.package, **done.found, "failure": failure}
        say(f"{time.monotonic() - began:5.0f} s  {row(model.name, result)}")
        yield model.name, result


def _chosen(names: list[str] | None) -> list[ZooModel]:
    unknown = set(names or ()) - {model.name for model in ZOO}
    if unknown:
        raise BadInput(
            "The zoo has no such network",
            got=", ".join(sorted(unknown)),
            expected=", ".join(model.name for model in ZOO),
        )
    return [model for model in ZOO if not names or model.name in names]


def main() -> int:
    """Visit the zoo; print the table as it grows, and write the JSON file and the page."""
    parser = argparse.ArgumentParser(description="What of the zoo works.")
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    parser.add_argument("--docs", type=Path, help="page to write from it")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="networks to visit again")
    parser.add_argument("--timeout", type=float, default=_TIMEOUT_S, help="seconds for each")
    given = parser.parse_args()
    chosen = _chosen(given.only)
    modules = ("keras_hub", "medicai", "segmodels_keras", "keras_unet_collection")
    vendor.need(*modules, extra="zoo", purpose="Visiting the zoo")
    known: dict[str, Any] = {}
    if given.only and given.out.exists():
        known = json.loads(given.out.read_text(encoding="utf-8"))["models"]
    for name, result in visit(chosen, given.timeout):
        known[name] = result
        text = _keep(known, given.out)
    if given.docs:
        write_text(given.docs, zoo_page(text))
    failures = [name for name, result in text["models"].items() if result["failure"]]
    sys.stdout.write(f"{len(text['models']) - len(failures)} of {len(text['models'])} work\n")
    return 0


def _keep(known: dict[str, Any], out: Path) -> dict[str, Any]:
    """Write the JSON file after each network, so that an interrupted visit keeps what it has."""
    packages = sorted({model.package for model in ZOO})
    text = {
        "machine": describe_machine(),
        "packages": {name: vendor.version(name) for name in packages},
        "models": {model.name: known[model.name] for model in ZOO if model.name in known},
    }
    write_text(out, json.dumps(text, indent=1) + "\n")
    return text


if __name__ == "__main__":
    sys.exit(main())
