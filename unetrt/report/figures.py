"""The report's pictures, drawn by matplotlib and NumPy alone; no display needed."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.data.writing import panels

__all__ = ["latency_chart", "learning_curve", "segmentation_sheet"]

_BLUE, _ORANGE = "#0072b2", "#d55e00"


def segmentation_sheet(
    rows: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]],
) -> NDArray[np.uint8]:
    """Return (image, truth, prediction) rows stacked, uint8 RGB; narrower rows are centred."""
    drawn = [panels(*row) for row in rows]
    width = max(row.shape[1] for row in drawn)
    sheet = []
    for row in drawn:
        left = (width - row.shape[1]) // 2
        spare = ((0, 6), (left, width - row.shape[1] - left), (0, 0))
        sheet.append(np.pad(row, spare, constant_values=255))
    return np.vstack(sheet)


def learning_curve(history: list[dict[str, float]]) -> bytes:
    """Draw loss and validation Dice over the seconds of training; returns a PNG."""
    seconds = [row["elapsed_s"] for row in history]
    chart = vendor.matplotlib_figure()(figsize=(7, 3), layout="constrained")
    loss = chart.add_subplot()
    dice = loss.twinx()
    loss.plot(seconds, [row["loss"] for row in history], color=_ORANGE, marker=".")
    dice.plot(seconds, [row["val_dice"] for row in history], color=_BLUE, marker=".")
    loss.set_xlabel("seconds of training")
    loss.set_ylabel("training loss", color=_ORANGE)
    loss.set_ylim(bottom=0)
    dice.set_ylabel("validation Dice", color=_BLUE)
    dice.set_ylim(0, 1)
    loss.spines[["top"]].set_visible(False)
    dice.spines[["top"]].set_visible(False)
    return _png(chart)


def latency_chart(latency_ms: dict[str, dict[str, float]]) -> bytes:
    """Draw each candidate's median, with a line to its 90th percentile; returns a PNG."""
    names = sorted(latency_ms, key=lambda name: -latency_ms[name]["p50"])
    chart = vendor.matplotlib_figure()(figsize=(7, 0.5 * len(names) + 0.9), layout="constrained")
    axes = chart.add_subplot()
    for place, name in enumerate(names):
        row = latency_ms[name]
        axes.barh(place, row["p50"], height=0.55, color=_BLUE)
        upper = row.get("p90", row["p50"])
        axes.plot([row["p50"], upper], [place, place], color=_ORANGE, linewidth=3)
        axes.annotate(
            f"{row['p50']:.1f} ms", (upper, place), (6, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("milliseconds an image: median, and on to the 90th percentile")
    axes.margins(x=0.15)
    axes.set_xlim(left=0)
    axes.spines[["top", "right"]].set_visible(False)
    return _png(chart)


def _png(chart: Any) -> bytes:
    drawn = io.BytesIO()
    chart.savefig(drawn, format="png", dpi=130)
    return drawn.getvalue()
