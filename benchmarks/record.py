"""Read and write the record of a benchmark: a versioned JSON file with every raw sample.

record.schema.json, beside this file, describes it field by field. A reader refuses versions that
it does not know.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from unetrt.errors import BadInput
from unetrt.files import write_text
from unetrt.precision import Precision

from .telemetry import Window, rounds_of

__all__ = [
    "KIND",
    "MODES",
    "PRECISIONS",
    "SCHEMA",
    "SCOPES",
    "Comparison",
    "Failure",
    "Record",
    "Row",
    "read_record",
    "write_record",
]

KIND = "unetrt-benchmark"
SCHEMA = 1
"""Raised when a field changes its meaning or goes."""

PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "int8")
SCOPES = ("core", "end_to_end")
MODES = ("serialised", "pipelined", "paced", "open_loop")
_LATENCIES = {"n", "p50", "mean", "min", "max"}
_INVERSE = {"faster": "slower", "slower": "faster"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Hold one way to run one network, its raw samples, and what is known of them.

    Attributes:
        network: its name: "article", or a file's.
        precision: of the artifact: "fp32", "tf32", "fp16", "bf16", "int8".
        backend: the library that runs it: "tensorrt", "onnxruntime", "openvino", "keras", or the
            name of a peer.
        device: "CPU", or the GPU's name.
        computes_in: the type its convolutions multiply in: "float32", "tf32", "float16", ...
        peer: another tool's, not this project's runtime.
        batch, height, width, channels: of the input, in images and pixels.
        scope: "core" (inputs and outputs where it computes) or "end_to_end" (image as stored, in
            host memory, to label map in host memory).
        mode: how runs follow each other: "serialised", "pipelined", "paced" or "open_loop".
        rate_per_s: of the arrivals, in open_loop alone.
        configuration: the backend's settings.
        artifact: {"file", "sha256"} of the file that was run.
        input: {"kind": "real" | "random", "seed", "source"}.
        parity: {"reference", "max_abs_diff", "labels_that_differ"}, checked before timing.
        rebuild: number of the build of the same network, from 0.
        samples_ns: "host" always; "enqueue", "compute", "copy_in", "copy_out" where a clock sees
            them, "service" in open_loop. Windows follow each other in them, `n` samples each.
        warmup_ns: kept apart.
        windows: the rounds it was timed in, and the machine during each.
        latency_ms: "n", "p50", "mean", "min", "max"; "p90", "p99", "p99.9" where n is enough.
        images_per_s: throughput.
        roofline: {"attainable_ns", "share"}, or None.
        warnings: sentences that say why a figure should not be trusted.

    Example:
        >>> from pathlib import Path
        >>> record = read_record(Path("record.json"))
        >>> row = record.row("article/fp16/onnxruntime/1x256x256x1/core/serialised")
        >>> row.label, row.shape, len(row.host_ns)
        ('onnxruntime fp16 in float32', (1, 256, 256, 1), 64)
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
        """Identify the row: no other row of a record has this id, the same row of another has."""
        shape = "x".join(map(str, self.shape))
        mode = self.mode if self.rate_per_s is None else f"{self.mode}@{self.rate_per_s:g}"
        parts = [self.network, self.precision, self.backend, shape, self.scope, mode]
        return "/".join(parts + ([f"rebuild{self.rebuild}"] if self.rebuild else []))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Return the input's shape: batch, height, width, channels."""
        return self.batch, self.height, self.width, self.channels

    @property
    def label(self) -> str:
        """Name library and precision; also the compute type where that is another."""
        words, own = [self.backend, self.precision], Precision.lookup("value", self.precision)
        if self._tf32 is not None:
            words.append(f"(TF32 {self._tf32})")
        elif own is None or not self.computes_in.startswith(own.compute_dtype):
            words.append(f"in {self.computes_in}")
        if self.rebuild:
            words.append(f"rebuild {self.rebuild}")
        return " ".join(words)

    @property
    def arithmetic(self) -> str:
        """Name the compute type; of FP32 on a GPU say also whether TF32 was allowed."""
        return self.computes_in if self._tf32 is None else f"{self.computes_in}, TF32 {self._tf32}"

    @property
    def _tf32(self) -> str | None:
        on_gpu = self.device != "CPU"
        if self.precision != "fp32" or not on_gpu or self.computes_in not in {"float32", "tf32"}:
            return None
        return "on" if self.computes_in == "tf32" else "off"

    @property
    def host_ns(self) -> tuple[int, ...]:
        """Return the samples of the host's clock, in nanoseconds."""
        return self.samples_ns["host"]

    @property
    def median_ms(self) -> float:
        """Return the median of the host's samples, in milliseconds."""
        return self.latency_ms["p50"]

    @property
    def rounds_ns(self) -> tuple[tuple[int, ...], ...]:
        """Return the host's samples by window: the blocks that resampling draws whole.

        All of them are one block where the windows do not tell.
        """
        return rounds_of(self.host_ns, self.windows)

    @property
    def throttled_windows(self) -> tuple[Window, ...]:
        """Return the windows in which the device held its clocks back."""
        return tuple(window for window in self.windows if window.throttled)

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
        for name, known in (("precision", PRECISIONS), ("scope", SCOPES), ("mode", MODES)):
            if getattr(row, name) not in known:
                raise ValueError(f"row {row.id!r} has another {name}: {getattr(row, name)!r}")
        if not row.host_ns or not row.latency_ms.keys() >= _LATENCIES:
            raise ValueError(f"row {row.id!r} has no host samples, or no median of them")
        return row


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Compare row b with row a.

    Attributes:
        a, b: ids of rows.
        ratio: median of b over median of a.
        low, high: 95 % bootstrap interval of the ratio; 0 and infinity (in JSON null) where one
            sample or round of each tells nothing.
        null_low, null_high: the same of a against itself, the A/A test; None without one.
        rebuilds: builds of each.
        verdict: of b: "faster", "slower" or "cannot be told apart".
    """

    a: str
    b: str
    ratio: float
    low: float
    high: float
    null_low: float | None
    null_high: float | None
    rebuilds: int
    verdict: str

    def inverted(self) -> Comparison:
        """Return the comparison of a with b."""
        low, high = _inverted(self.low, self.high)
        null = (
            (None, None)
            if self.null_low is None or self.null_high is None
            else _inverted(self.null_low, self.null_high)
        )
        return Comparison(
            a=self.b,
            b=self.a,
            ratio=1 / self.ratio,
            low=low,
            high=high,
            null_low=null[0],
            null_high=null[1],
            rebuilds=self.rebuilds,
            verdict=_INVERSE.get(self.verdict, self.verdict),
        )

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict; JSON has no infinity."""
        return {name: None if end == math.inf else end for name, end in asdict(self).items()}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """Return the comparison that `to_json` stored."""
        ends = [("low", "high"), ("null_low", "null_high")]
        unbounded = [b for a, b in ends if stored[a] is not None and stored[b] is None]
        return cls(**stored | dict.fromkeys(unbounded, math.inf))


def _inverted(low: float, high: float) -> tuple[float, float]:
    return 1 / high, math.inf if low == 0 else 1 / low


@dataclass(frozen=True, slots=True)
class Failure:
    """Name a row that was asked for and is not there, and say why."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Hold the result of a benchmark.

    Attributes:
        title: of its report.
        made: ISO 8601 time, UTC.
        command: that made it.
        machine: `describe_machine()`.
        rows: one for each way that was timed; no two of one id.
        comparisons: of rows.
        networks: by name: height, width, channels, batch, layers, flops, bytes, attainable_ns.
        ceilings: of the machine: flops_per_s by type, bytes_per_s, how, device.
        layers: each convolution as its own engine.
        failures: rows that were asked for and are not in `rows`.

    Raises:
        BadInput: two rows have one id.
    """

    title: str
    made: str
    command: str
    machine: dict[str, Any]
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...] = ()
    networks: dict[str, dict[str, Any]] = field(default_factory=dict)
    ceilings: dict[str, Any] | None = None
    layers: tuple[dict[str, Any], ...] | None = None
    failures: tuple[Failure, ...] = ()

    def __post_init__(self) -> None:
        twice = [name for name, n in Counter(row.id for row in self.rows).items() if n > 1]
        if twice:
            raise BadInput("Two rows of a benchmark are called the same", got=", ".join(twice))

    def row(self, name: str) -> Row:
        """Return the row of that id; KeyError where there is none."""
        return {row.id: row for row in self.rows}[name]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {
            "schema": SCHEMA,
            "kind": KIND,
            "title": self.title,
            "made": self.made,
            "command": self.command,
            "machine": self.machine,
            "rows": [row.to_json() for row in self.rows],
            "comparisons": [one.to_json() for one in self.comparisons],
            "networks": self.networks,
            "ceilings": self.ceilings,
            "layers": None if self.layers is None else list(self.layers),
            "failures": [asdict(one) for one in self.failures],
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """Return the record; KeyError, TypeError, ValueError or AttributeError where it is none."""
        layers = stored["layers"]
        return cls(
            title=stored["title"],
            made=stored["made"],
            command=stored["command"],
            machine=dict(stored["machine"]),
            rows=tuple(map(Row.from_json, stored["rows"])),
            comparisons=tuple(map(Comparison.from_json, stored["comparisons"])),
            networks=dict(stored["networks"]),
            ceilings=stored["ceilings"],
            layers=None if layers is None else tuple(layers),
            failures=tuple(Failure(**one) for one in stored["failures"]),
        )


def write_record(record: Record, path: Path) -> None:
    """Write a record to `path`, whole or not at all.

    Args:
        record: of a benchmark.
        path: of the JSON file; one that is there is replaced.

    Raises:
        OutputError: `path` cannot be written.
        ValueError: a figure is infinite or no number, which JSON does not have.
    """
    # One row a line: a few thousand samples indented would be a few thousand lines.
    text = json.dumps(record.to_json(), allow_nan=False, separators=(",", ":"))
    write_text(path, text.replace('{"id":"', '\n{"id":"') + "\n")


def read_record(path: Path) -> Record:
    """Read the record that `write_record` wrote.

    Args:
        path: of the JSON file.

    Returns:
        The record, equal to the one that was written.

    Raises:
        BadInput: there is no such file, it is no record, or one of another version.

    Example:
        >>> record = read_record(Path("record.json"))
        >>> len(record.rows), record.machine["cores"]
        (19, 2)
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(f"There is no file {path}", hint="check the name") from error
    except (OSError, ValueError) as error:
        raise _no_record(path, error) from error
    if not isinstance(stored, dict) or stored.get("kind") != KIND:
        raise _no_record(path, "other JSON")
    if stored.get("schema") != SCHEMA:
        raise BadInput(
            f"{path} is a record of another version",
            got=f"schema {stored.get('schema')!r}",
            expected=f"schema {SCHEMA}",
            hint="make it again with this unetrt, or read it with the one that made it",
        )
    try:
        return Record.from_json(stored)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _no_record(path, repr(error)) from error


def _no_record(path: Path, got: object) -> BadInput:
    return BadInput(
        f"{path} is not the record of a benchmark",
        got=got,
        expected="a file that a benchmark wrote",
    )
