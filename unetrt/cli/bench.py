"""`unetrt bench`: how long a network takes, each artifact on this machine, side by side."""

from __future__ import annotations

import shlex
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unetrt.cli.output import emit, figure, interval, table
from unetrt.cli.shell import AsJson
from unetrt.errors import BadInput

if TYPE_CHECKING:
    from rich.table import Table

    from unetrt.benchmarks import Comparison, Record, Row
    from unetrt.benchmarks.modes import Mode

__all__ = ["bench"]


class ModeName(StrEnum):
    """How runs follow each other."""

    SERIALISED = "serialised"
    PIPELINED = "pipelined"
    PACED = "paced"
    OPEN_LOOP = "open-loop"


class ScopeName(StrEnum):
    """What of a network is timed."""

    CORE = "core"
    END_TO_END = "end-to-end"
    BOTH = "both"


def bench(
    artifacts: Annotated[
        list[Path] | None, typer.Argument(help=".keras, .onnx and .engine files.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images at once.")] = 1,
    size: Annotated[
        str | None, typer.Option(metavar="HxW", help="Of the image; that of the first, if not.")
    ] = None,
    mode: Annotated[ModeName, typer.Option(help="How runs follow.")] = ModeName.SERIALISED,
    rate: Annotated[
        float | None, typer.Option(min=0.0, help="Arrivals a second, of open-loop.")
    ] = None,
    scope: Annotated[
        ScopeName, typer.Option(help="The network alone, or from image to labels.")
    ] = ScopeName.BOTH,
    percentile: Annotated[
        float | None, typer.Option(help="To be told: 90; it chooses the number of runs.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Runs of each, instead; fewer tell no percentile.")
    ] = None,
    precision: Annotated[
        str, typer.Option(help='The files\' "own", or "fast": less where this machine gains by it.')
    ] = "own",
    data: Annotated[str, typer.Option(help='"brain", or a folder; its test images.')] = "brain",
    random: Annotated[
        int | None, typer.Option(metavar="SEED", help="Random images instead.")
    ] = None,
    layers: Annotated[
        bool,
        typer.Option(
            "--layers",
            help="Each convolution of .onnx files as its own engine instead; without files, of "
            "the article's network.",
        ),
    ] = False,
    backend: Annotated[
        str, typer.Option(help="Of ONNX files, as of predict; of --layers also tensorrt-rtx.")
    ] = "auto",
    out: Annotated[Path | None, typer.Option(help="RECORD.json, for `unetrt compare`.")] = None,
    as_json: AsJson = False,
) -> None:
    """Time artifacts side by side.

    What disagrees with the first artifact is not timed. Each is compared with the first one, which
    also runs beside itself: a difference must be larger than its own.
    """
    from unetrt.benchmarks import MeasureSpec, Record, describe_machine, write_record
    from unetrt.cli.bench_layers import layers_record
    from unetrt.cli.benched import choose_input, time_scope
    from unetrt.predictors import open_predictors
    from unetrt.progress import ConsoleProgress
    from unetrt.runtime import SessionSpec

    plan = MeasureSpec(percentile=percentile, samples=samples, mode=_mode(mode, rate))
    progress = ConsoleProgress()
    record = Record(
        title="unetrt bench",
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        command=shlex.join(["unetrt", *sys.argv[1:]]),
        machine=describe_machine(),
        rows=(),
    )
    if layers:
        record, shown = layers_record(
            record, artifacts or [], progress, batch, size, backend, samples
        )
        if out is not None:
            write_record(record, out)
            shown.append(f"Wrote {out}")
        emit(record.to_json(), as_json=as_json, shown=shown)
        return
    if not artifacts:
        raise BadInput(
            "There is nothing to time",
            expected="ONNX files, engines or Keras models, or --layers",
        )
    with ExitStack() as stack:
        with progress.step("open", "Opening the artifacts"):
            spec = SessionSpec(backend=backend, precision=precision)
            predictors = open_predictors(stack, artifacts, spec)
        with progress.step("data", "Choosing the images"):
            timed_input = choose_input(predictors, data, random, batch, size)
        for one in _scopes(scope, any(p.session is not None for p in predictors)):
            with progress.step("bench", f"Timing {plan.count} runs of each, {one}"):
                record = time_scope(record, predictors, timed_input, plan, one, progress.tick)
            if out is not None:  # each scope as soon as it is there
                write_record(record, out)
    emit(
        record.to_json(),
        as_json=as_json,
        shown=[*_tables(record), *([] if out is None else [f"Wrote {out}"])],
    )


def _mode(name: ModeName, rate: float | None) -> Mode:
    from unetrt.benchmarks import OpenLoop, Paced, Pipelined, Serialised

    if (rate is not None) != (name is ModeName.OPEN_LOOP):
        raise BadInput(
            f"The mode {name} {'takes no' if rate is not None else 'needs a'} --rate",
            expected="--rate with --mode open-loop, and with no other",
        )
    if rate is not None:
        return OpenLoop(rate_per_s=rate)
    modes: dict[ModeName, Mode] = {
        ModeName.SERIALISED: Serialised(),
        ModeName.PIPELINED: Pipelined(),
        ModeName.PACED: Paced(),
    }
    return modes[name]


def _scopes(scope: ScopeName, any_session: bool) -> list[str]:
    """Return the scopes that can be timed; Keras has none but end to end."""
    if scope is ScopeName.BOTH:
        return ["core", "end_to_end"] if any_session else ["end_to_end"]
    if scope is ScopeName.CORE and not any_session:
        raise BadInput(
            "There is no core to time",
            got="Keras files alone",
            expected="an ONNX file or an engine",
            hint="--scope end-to-end times Keras",
        )
    return [scope.replace("-", "_")]


def _tables(record: Record) -> list[Table | str]:
    shown: list[Table | str] = []
    for scope in dict.fromkeys(row.scope for row in record.rows):
        rows = {row.id: row for row in record.rows if row.scope == scope}
        lines = [
            [
                row.network,
                row.backend,
                _computes_in(row),
                *(figure(row.latency_ms.get(p), 2) for p in ("p50", "p90", "p99")),
                figure(row.images_per_s, 1),
            ]
            for row in rows.values()
        ]
        first = next(iter(rows.values()))
        title = (
            f"{scope.replace('_', ' ')}, {first.mode}: milliseconds at {first.batch} x "
            f"{first.height} x {first.width} x {first.channels}, {first.latency_ms['n']:.0f} runs"
        )
        columns = ["", "backend", "computes in", "p50", "p90", "p99", "images/s"]
        shown.append(table(title, columns, lines))
        shown += [_said(one, rows) for one in record.comparisons if one.b in rows]
        shown += [f"{row.network}: {doubt}." for row in rows.values() for doubt in row.warnings]
    return shown


def _said(one: Comparison, rows: dict[str, Row]) -> str:
    first, other = rows[one.a].network, rows[one.b].network
    return (
        f"{other} beside {first}: {one.verdict}, {one.ratio:.3f} of its median "
        f"({interval(one.low, one.high)}; {first} beside itself "
        f"{interval(one.null_low, one.null_high)})"
    )


def _computes_in(row: Row) -> str:
    """Say of each float32 on a GPU whether it is."""
    tf32 = row.configuration.get("tf32")
    return row.computes_in if tf32 is None else f"{row.computes_in}, TF32 {'on' if tf32 else 'off'}"
