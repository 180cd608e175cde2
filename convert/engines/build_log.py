"""What a builder says while it builds: kept, not scrolled away."""

from __future__ import annotations

from typing import Any

__all__ = ["build_log"]


def build_log(trt: Any) -> Any:
    """Return a logger for `trt` that keeps warnings and errors in lists of the same names."""

    class BuildLog(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.warnings: list[str] = []
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(message)
            elif severity == trt.ILogger.Severity.WARNING and message not in self.warnings:
                self.warnings.append(message)

        def keep(self, message: str | None) -> None:
            """Keep a warning of our own, if there is one."""
            if message is not None:
                self.warnings.append(message)

        def last_error(self) -> str:
            return self.errors[-1] if self.errors else "no reason given"

    return BuildLog()
