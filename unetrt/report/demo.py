"""Write the demo's report: pictures, report.html, summary.json."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unetrt.data import Sample
from unetrt.files import write_bytes, write_text
from unetrt.progress import Progress

from .figures import latency_chart, learning_curve, segmentation_sheet
from .html import render_html
from .svg import as_file

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["write_demo"]

_SHOWN = 4


def write_demo(
    out: Path,
    summary: dict[str, Any],
    history: Iterable[DataclassInstance],
    samples: Sequence[Sample],
    segment: Callable[[Sample], NDArray[np.uint8]],
    progress: Progress,
) -> None:
    """Draw the pictures, then write report.html and, last, summary.json with all the seconds.

    Args:
        out: folder for pictures/, report.html and summary.json.
        summary: as summary.schema.json describes it, but for "seconds", which it gets.
        history: epochs of the training.
        samples: test images, a few of which are shown.
        segment: from a sample to the labels of its image, [height, width].
        progress: knows the seconds of every step.

    Raises:
        OutputError: the folder cannot be written.
        MissingDependency: Jinja or matplotlib is not installed.
    """
    with progress.step("report", "Writing the report"):
        sheet = _sheet(samples, segment)
        write_bytes(out / "pictures" / "segmentation.png", sheet)
        charts = {
            "learning": learning_curve([asdict(epoch) for epoch in history]),
            "latency": latency_chart(summary["latency_ms"]),
        }
        for name, svg in charts.items():
            write_text(out / "pictures" / f"{name}.svg", as_file(svg))
        summary["seconds"] = {name: round(s, 2) for name, s in progress.seconds.items()}
        page = render_html(summary, sheet, charts)
    summary["seconds"]["report"] = round(progress.seconds["report"], 2)
    write_text(out / "report.html", page)
    write_text(out / "summary.json", json.dumps(summary, indent=1) + "\n")


def _sheet(samples: Sequence[Sample], segment: Callable[[Sample], NDArray[np.uint8]]) -> bytes:
    """Return a PNG file of images, truths and predictions."""
    step = max(1, len(samples) // _SHOWN)
    chosen = samples[step // 2 :: step][:_SHOWN]
    sheet = segmentation_sheet([(s.image, s.label, segment(s)) for s in chosen])
    png = io.BytesIO()
    Image.fromarray(sheet).save(png, format="PNG", optimize=True)
    return png.getvalue()
