"""`unetrt bench`: how long one image takes, each artifact on this machine, side by side."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from unetrt.commands.shell import AsJson, emit, figure, guarded, table

__all__ = ["bench"]


@guarded
def bench(
    artifacts: Annotated[list[Path], typer.Argument(help=".keras, .onnx and .engine files.")],
    data: Annotated[str, typer.Option(help='"brain", or a folder; one test image.')] = "brain",
    samples: Annotated[int, typer.Option(min=1, help="Timed runs of each.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Time artifacts side by side, host to host.

    On one real image; what disagrees with the first artifact is not timed.
    """
    from unetrt.benchmarks import Plan, describe_machine, measure, summarize
    from unetrt.commands.predictors import check_fit, common_sizes, open_all
    from unetrt.data import load_dataset
    from unetrt.padding import as_batch
    from unetrt.parity import TOLERANCES, compare
    from unetrt.progress import Progress

    progress = Progress()
    with ExitStack() as stack:
        with progress.step("open", "Opening the artifacts"):
            predictors = open_all(stack, artifacts)
        with progress.step("data", f"Reading {data}"):
            dataset = load_dataset(data)
        check_fit(predictors, dataset)
        sample = dataset.test[0]
        first, *others = predictors
        sizes = common_sizes(predictors)
        x = as_batch(sample.image, sizes)
        parities = compare(
            (first.name, first.predict),
            {other.name: other.predict for other in others},
            [sample],
            dataset.classes,
            sizes,
        )
        for other in others:
            parities[other.name].check(TOLERANCES[other.precision])
        with progress.step("bench", f"Timing {samples} runs of each"):
            calls = {p.name: (lambda p=p: p.predict(x)) for p in predictors}
            taken = measure(calls, Plan(samples=samples), on_run=progress.tick)
    latency = {name: summarize(one) for name, one in taken.items()}
    rows = [
        [name, figure(t.p50_ms, 2), figure(t.p90_ms, 2), figure(t.p99_ms, 2), str(t.n)]
        for name, t in latency.items()
    ]
    emit(
        {
            "input_shape": list(x.shape),
            "latency_ms": {name: one.to_json() for name, one in latency.items()},
            "latency_ns": {name: one.latency_ns for name, one in taken.items()},
            "machine": describe_machine(),
        },
        as_json=as_json,
        shown=[table(f"Milliseconds at {list(x.shape)}", ["", "p50", "p90", "p99", "runs"], rows)],
    )
