"""One row of a record: one way to run one network, its raw samples, and what is known of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from ..measuring.window import Window

__all__ = ["MODES", "SCOPES", "Row"]

SCOPES = ("core", "end_to_end")
MODES = ("serialised", "pipelined", "paced", "open_loop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way to run one network, as record.schema.json has it.

    Attributes:
        network: its name: "article", or a file's.
        precision: of the artifact: "fp32", "tf32", "fp16", "bf16", "int8".
        backend: what runs it: "tensorrt", "onnxruntime", "openvino", "keras", a peer's name.
        device: "CPU", or the GPU's name.
        computes_in: what its convolutions multiply in: "float32", "tf32", "float16", ...
        peer: another tool's, not this project's runtime.
        batch, height, width, channels: of the input.
        scope: "core" (inputs and outputs where it computes) or "end_to_end" (uint8 image in host
            memory to label map in host memory).
        mode: how runs follow each other, see benchmarks/modes/.
        rate_per_s: of the arrivals, in open_loop alone.
        configuration: what the backend was told.
        artifact: {"file", "sha256"} of what was run.
        input: {"kind": "real" | "random", "seed", "source"}.
        parity: {"reference", "max_abs_diff", "labels_that_differ"}, checked before timing.
        rebuild: which build of the same network, from 0.
        samples_ns: "host" always; "enqueue", "compute", "copy_in", "copy_out" where a clock sees
            them, "service" in open_loop. Windows follow each other in them, `n` samples each.
        warmup_ns: kept apart.
        windows: the turns it was timed in, and the machine in each.
        latency_ms: "n", "p50", "mean", "min", "max"; "p90", "p99", "p99.9" where n carries them.
        images_per_s: that come out.
        roofline: {"attainable_ns", "share"}, or None.
        warnings: sentences that say why a figure should not be trusted.
    """

    network: str
    precision: str
    backend: str
    device: str
    computes_in: str
    peer: bool = False
    batch: int
    height: int
    width: int
    channels: int
    scope: str
    mode: str
    rate_per_s: float | None = None
    configuration: dict[str, str | float | bool] = field(default_factory=dict)
    artifact: dict[str, str] | None = None
    input: dict[str, Any]
    parity: dict[str, Any]
    rebuild: int = 0
    samples_ns: dict[str, tuple[int, ...]]
    warmup_ns: tuple[int, ...] = ()
    windows: tuple[Window, ...] = ()
    latency_ms: dict[str, float]
    images_per_s: float
    roofline: dict[str, float] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """What tells it from every other row; the same row of another record has the same."""
        shape = "x".join(map(str, (self.batch, self.height, self.width, self.channels)))
        mode = self.mode if self.rate_per_s is None else f"{self.mode}@{self.rate_per_s:g}"
        parts = [self.network, self.precision, self.backend, shape, self.scope, mode]
        return "/".join(parts + ([f"rebuild{self.rebuild}"] if self.rebuild else []))

    @property
    def host_ns(self) -> tuple[int, ...]:
        """The samples by the host's clock."""
        return self.samples_ns["host"]

    @property
    def turns_ns(self) -> tuple[tuple[int, ...], ...]:
        """The host's samples by window: what resampling takes whole; all as one without windows."""
        host, turns, start = self.host_ns, [], 0
        for window in self.windows:
            turns.append(host[start : start + window.n])
            start += window.n
        return tuple(turn for turn in turns if turn) if start == len(host) else (host,)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict, its id first."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            "id": self.id,
            **own,
            "samples_ns": {name: list(ns) for name, ns in self.samples_ns.items()},
            "warmup_ns": list(self.warmup_ns),
            "windows": [asdict(w) | {"throttle": list(w.throttle)} for w in self.windows],
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """Return the row of a record; KeyError, TypeError or ValueError where it is none."""
        own = {f.name: stored[f.name] for f in fields(cls)}
        row = cls(
            **own
            | {
                "samples_ns": {name: tuple(ns) for name, ns in stored["samples_ns"].items()},
                "warmup_ns": tuple(stored["warmup_ns"]),
                "windows": tuple(
                    Window(**w | {"throttle": tuple(w["throttle"])}) for w in stored["windows"]
                ),
                "warnings": tuple(stored["warnings"]),
            }
        )
        if row.id != stored["id"]:
            raise ValueError(f"row {stored['id']!r} says of itself {row.id!r}")
        if not row.host_ns or row.scope not in SCOPES or row.mode not in MODES:
            raise ValueError(f"row {row.id!r} has no host samples, or another scope or mode")
        return row
