"""A row of the record, as the report speaks of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from .numbers import sizes

__all__ = ["PRECISIONS", "Row", "rows_of"]

PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "int8")
_OWN_TYPE = {"fp32": "float32", "tf32": "tf32", "fp16": "float16", "bf16": "bfloat16",
             "int8": "int8"}  # fmt: skip
_SCOPES = {"core": "core", "end_to_end": "end to end"}


@dataclass(frozen=True, slots=True)
class Row:
    """What was timed, and how; `fields` is the row as the record has it, at `place`."""

    id: str
    network: str
    precision: str
    backend: str
    device: str
    computes_in: str
    peer: bool
    batch: int
    height: int
    width: int
    channels: int
    scope: str
    mode: str
    rebuild: int
    place: int
    fields: dict[str, Any]

    @classmethod
    def of(cls, fields: dict[str, Any], place: int) -> Self:
        """Read one row of the record."""
        named = {name: fields[name] for name in cls.__dataclass_fields__ if name in fields}
        return cls(**named, fields=fields, place=place)

    @property
    def latency_ms(self) -> dict[str, float]:
        """Percentiles that the samples carry, mean, min, max and n."""
        found: dict[str, float] = self.fields["latency_ms"]
        return found

    @property
    def p50_ms(self) -> float:
        """The median."""
        return self.latency_ms["p50"]

    @property
    def samples_ms(self) -> list[float]:
        """Every timed run by the host's clock; nothing is left out."""
        return [ns / 1e6 for ns in self.fields["samples_ns"]["host"]]

    @property
    def stages_ns(self) -> dict[str, list[int]]:
        """Raw samples of each clock that this row has, the host's included."""
        return {name: taken for name, taken in self.fields["samples_ns"].items() if taken}

    @property
    def attained(self) -> float | None:
        """Share of what the ceilings allow, or None where that is not known."""
        roofline = self.fields["roofline"]
        return None if roofline is None else float(roofline["share"])

    @property
    def throttled(self) -> list[dict[str, Any]]:
        """The windows in which the device slowed itself down."""
        return [window for window in self.fields["windows"] if window["throttled"]]

    @property
    def watched(self) -> int:
        """How many windows were asked whether the device slowed itself down; none on a CPU."""
        return sum(window["sm_clock_mhz"] is not None for window in self.fields["windows"])

    @property
    def warnings(self) -> list[str]:
        """Why a figure should not be trusted, in sentences."""
        found: list[str] = self.fields["warnings"]
        return found

    @property
    def on_gpu(self) -> bool:
        """Whether it ran on anything but a CPU."""
        return self.device != "CPU"

    @property
    def arithmetic(self) -> str:
        """What it computes in; for FP32 on a GPU also whether TF32 was allowed."""
        if self.precision == "fp32" and self.on_gpu and self.computes_in in {"float32", "tf32"}:
            return f"{self.computes_in}, TF32 {'on' if self.computes_in == 'tf32' else 'off'}"
        return self.computes_in

    @property
    def runner(self) -> str:
        """The library and the precision; what it computes in where that is another."""
        words = [self.backend, self.precision]
        if self.precision == "fp32" and self.on_gpu and self.computes_in in {"float32", "tf32"}:
            words.append("(TF32 on)" if self.computes_in == "tf32" else "(TF32 off)")
        elif not self.computes_in.startswith(_OWN_TYPE.get(self.precision, self.computes_in)):
            words.append(f"in {self.computes_in}")
        if self.rebuild:
            words.append(f"rebuild {self.rebuild}")
        return " ".join(words)

    @property
    def shape(self) -> str:
        """Batch, height, width, channels."""
        return sizes(self.batch, self.height, self.width, self.channels)

    @property
    def case(self) -> str:
        """What rows must share to stand side by side."""
        rate = self.fields["rate_per_s"]
        paced = "" if rate is None else f" at {rate:g} a second"
        return f"{self.network}, {self.shape}, {self.how}{paced}"

    @property
    def how(self) -> str:
        """Scope, and the mode where it is not the usual one: serialised."""
        scope = _SCOPES.get(self.scope, self.scope)
        return scope if self.mode == "serialised" else f"{scope}, {self.mode.replace('_', ' ')}"

    @property
    def title(self) -> str:
        """The whole of it in one line."""
        return f"{self.runner}: {self.case}"


def rows_of(record: dict[str, Any]) -> list[Row]:
    """Read the record's rows, ordered by network, size, batch, scope, library and precision."""
    networks: list[str] = []
    rows = [Row.of(fields, place) for place, fields in enumerate(record["rows"])]
    for row in rows:
        if row.network not in networks:
            networks.append(row.network)

    def place(row: Row) -> tuple[Any, ...]:
        known = row.precision in PRECISIONS
        return (
            networks.index(row.network), row.height, row.width, row.batch,
            row.scope != "core", row.mode != "serialised", row.mode, row.peer, row.backend,
            PRECISIONS.index(row.precision) if known else len(PRECISIONS), row.rebuild, row.id,
        )  # fmt: skip

    return sorted(rows, key=place)
