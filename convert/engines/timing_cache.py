"""How long TensorRT's tactics took on this GPU, kept from build to build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unetrt.caches import read_cache, write_cache

__all__ = ["begin_timing", "keep_timing"]


def begin_timing(config: Any, path: Path) -> str | None:
    """Let the builder use the timings kept at `path`; return a warning where they do not fit."""
    cache = config.create_timing_cache(read_cache(path))
    if cache is not None and config.set_timing_cache(cache, False):
        return None
    config.set_timing_cache(config.create_timing_cache(b""), False)
    return f"The timing cache {path} does not fit this library and GPU; it is started again."


def keep_timing(config: Any, path: Path) -> str | None:
    """Keep the builder's timings at `path`; return a warning where that fails."""
    return write_cache(path, bytes(memoryview(config.get_timing_cache().serialize())))
