"""What limits the latency, in words that the record's figures carry."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from .network import Network
from .numbers import milliseconds, share
from .row import Row

__all__ = ["launching", "limits"]

_LAUNCH_BOUND = 0.8
"""Of the compute time: beyond it trtexec warns that launching may limit (sampleReporting.cpp)."""
_NEAR = 0.75
"""Share of the ceilings from which they are called what limits."""
_BEYOND = 1.05
"""Share of the ceilings beyond which they are none."""


def limits(record: dict[str, Any], case: list[Row], networks: Sequence[Network]) -> list[str]:
    """Say how near the ceilings the row of the lowest median comes, and which of them it is."""
    if record["ceilings"] is None:
        return ["The machine's ceilings were not measured, so what limits it is not known."]
    known = [row for row in case if row.attained is not None]
    if not known:
        return ["For this case there is no roofline, so what limits it is not known."]
    row = min(known, key=lambda row: row.p50_ms)
    reached = row.attained or 0.0
    least = row.fields["roofline"]["attainable_ns"] / 1e6
    sentence = (
        f"The measured ceilings allow {row.runner} {milliseconds(least)} at least; "
        f"it reaches {share(reached)} of that speed"
    )
    kind = _kind(row, networks)
    if reached > _BEYOND:
        doubt = "they were measured too low, or its tensors stay in a cache"
        return [f"{sentence}, more than they allow: {doubt}, so what limits it is not known."]
    if reached >= _NEAR:
        return [f"{sentence}: the chip's ceilings limit it{kind}."]
    rest = f"the other {share(1 - reached)} of its time the ceilings do not explain"
    return [f"{sentence}: {rest}{kind}."]


def _kind(row: Row, networks: Sequence[Network]) -> str:
    least = row.fields["roofline"]["attainable_ns"]
    for network in networks:
        memory = network.by_memory
        if not network.rows([row]) or memory is None or network.attainable_ns is None:
            continue
        # Only where the network was held to the ceiling of the type that the row computes in.
        if math.isclose(network.attainable_ns, least, rel_tol=0.01):
            return (
                f" (of the least time, {share(1 - memory)} is limited by arithmetic and "
                f"{share(memory)} by memory traffic)"
            )
    return ""


def launching(case: list[Row]) -> list[str]:
    """Say of which rows the host takes about as long to launch as the device to compute."""
    found = []
    for row in case:
        stages = row.stages_ns
        if "enqueue" in stages and "compute" in stages:
            enqueue = statistics.median(stages["enqueue"]) / 1e6
            compute = statistics.median(stages["compute"]) / 1e6
            if enqueue > _LAUNCH_BOUND * compute:
                found.append(
                    f"Launching {row.runner} takes the host {milliseconds(enqueue)}, its compute "
                    f"{milliseconds(compute)}: the host may limit it."
                )
    return found
