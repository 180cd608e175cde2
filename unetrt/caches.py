"""Keep what was learnt on this machine for the next time, apart for each version and GPU.

TensorRT keeps the timings of its builder there, TensorRT-RTX the kernels it compiled. Neither holds
for another version or another GPU, so neither is ever read by one. A cache may be lost at any time.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from unetrt.errors import OutputError
from unetrt.files import write_bytes
from unetrt.gpu import Gpu

__all__ = ["cache_file", "cache_folder", "machine_file", "read_cache", "write_cache"]


def cache_folder() -> Path:
    """Return UNETRT_CACHE, or unetrt in XDG_CACHE_HOME or ~/.cache; it need not exist."""
    named = os.environ.get("UNETRT_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "unetrt"


def cache_file(kind: str, *, backend: str, version: str, gpu: Gpu) -> Path:
    """Return the file of a cache ("timing", "runtime") of this library, version and GPU."""
    device = f"{gpu.name} sm{gpu.compute_capability} cuda{gpu.driver_cuda}"
    return cache_folder() / f"{backend}-{version}" / f"{_plain(device)}.{kind}"


def machine_file(kind: str, device: str) -> Path:
    """Return the JSON file of measurements ("ceilings") of a device, by its name."""
    return cache_folder() / kind / f"{_plain(device)}.json"


def read_cache(path: Path) -> bytes:
    """Return the bytes of a cache; none where there is no file or it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def write_cache(path: Path, content: bytes) -> str | None:
    """Keep `content`, whole or not at all.

    Returns:
        None, or a sentence on why it was not kept: no work is lost with a cache.
    """
    try:
        write_bytes(path, content)
    except OutputError as error:
        return f"The cache was not kept. {error}"
    return None


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")
