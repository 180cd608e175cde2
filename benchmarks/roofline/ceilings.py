"""A machine's two ceilings, measured once and kept: how fast it multiplies, how fast it copies."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unetrt.caches import machine_file, read_cache, write_cache
from unetrt.gpu import find_gpu

from ..environment import describe_machine
from .ceilings_cpu import measure_cpu
from .ceilings_gpu import Build, measure_gpu

__all__ = ["Ceilings", "ceilings_of", "measure_ceilings"]

_FORMAT = 1

_BUSY = 0.5
"""Of the cores: what would have been measured is what was left."""


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The most that a machine was seen to do.

    Attributes:
        flops_per_s: of a large matrix product, by NumPy's name of the type it computes in, or
            "tf32"; without the types that could not be measured.
        bytes_per_s: read and written, by a copy of a large array.
        how: what measured them, in words.
        device: the GPU's name, or the CPU's and its cores.
        made: when, ISO 8601.
    """

    flops_per_s: Mapping[str, float]
    bytes_per_s: float
    how: str
    device: str
    made: str

    def to_json(self) -> dict[str, Any]:
        """Return the `ceilings` of the benchmark's record."""
        return {
            "flops_per_s": dict(self.flops_per_s),
            "bytes_per_s": self.bytes_per_s,
            "how": f"{self.how}; measured {self.made[:10]}",
            "device": self.device,
        }


def ceilings_of(
    device: str, build: Build | None = None, *, again: bool = False
) -> tuple[Ceilings | None, str]:
    """Return the ceilings of "cpu" or "gpu" of this machine, and what to say of them.

    They come from the cache, unless `again`; else they are measured, which takes seconds, and
    kept, unless the CPU was at work on something else. None, and why, where nothing here can
    measure them.
    """
    name = _device_name(device)
    if name is None:
        return None, "ceilings not measured: there is no NVIDIA GPU"
    file = machine_file("ceilings", name)
    kept = None if again else _read(file)
    if kept is not None:
        return kept, f"ceilings measured {kept.made[:10]}, kept in {file}"
    load = _load() if device == "cpu" else 0.0
    found, reason = measure_ceilings(device, name, build)
    if found is None:
        return None, f"ceilings not measured: {reason}"
    if load > _BUSY:
        return found, f"ceilings measured on a busy CPU ({load:.0%} of its cores), and not kept"
    text = json.dumps({"format": _FORMAT, **asdict(found)}, indent=1)
    return found, write_cache(file, text.encode()) or f"ceilings measured now, kept in {file}"


def measure_ceilings(
    device: str, name: str, build: Build | None = None
) -> tuple[Ceilings | None, str]:
    """Measure the ceilings of "cpu" or "gpu", named `name`; None, and why, where nothing here can.

    A GPU is measured by PyTorch where it is installed; else by engines of one node each, if
    `build` is given.
    """
    found = measure_cpu() if device == "cpu" else measure_gpu(build)
    if isinstance(found, str):
        return None, found
    flops_per_s, bytes_per_s, how = found
    made = datetime.now(UTC).isoformat(timespec="seconds")
    return Ceilings(flops_per_s, bytes_per_s, how, name, made), ""


def _device_name(device: str) -> str | None:
    if device == "cpu":
        machine = describe_machine()
        return f"{machine['cpu']}, {machine['cores']} cores"
    gpu = find_gpu()
    return None if gpu is None else gpu.name


def _load() -> float:
    """Return how many processes wanted to run in the last minute, for each core."""
    average = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return average / (describe_machine()["cores"] or 1)


def _read(file: Path) -> Ceilings | None:
    """Return what was kept; None where it is damaged or of another version."""
    try:
        kept = json.loads(read_cache(file))
        if kept.pop("format") != _FORMAT:
            return None
        flops_per_s = {str(name): float(peak) for name, peak in kept.pop("flops_per_s").items()}
        found = Ceilings(flops_per_s, float(kept.pop("bytes_per_s")), **kept)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return found if min(found.bytes_per_s, *flops_per_s.values()) > 0 else None
