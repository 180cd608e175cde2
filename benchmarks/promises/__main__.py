"""List the promises, one line each."""

from __future__ import annotations

import importlib
import sys

__all__ = ["PROMISES", "main"]

PROMISES = (
    "conversion", "fast", "folder", "gpu_overhead", "harness", "learning", "overhead", "soak",
    "tiling", "training", "zoo",
)  # fmt: skip


def main() -> int:
    """Print each promise's command and the first line of its docstring."""
    for name in PROMISES:
        module = importlib.import_module(f".{name}", __package__)
        first = (module.__doc__ or "").partition("\n")[0]
        sys.stdout.write(f"python -m {module.__name__:42} {first}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
