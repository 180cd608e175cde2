"""Draw the figures of the demo's report: predictions, the course of training, latency."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.data.writing import panels

from .svg import colours, styled_figure, to_svg

__all__ = ["latency_chart", "learning_curve", "segmentation_sheet"]

_WIDTH = 640
"""Of a chart, in pixels."""


def segmentation_sheet(
    rows: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]],
) -> NDArray[np.uint8]:
    """Stack rows of image, truth and prediction into one uint8 RGB image; narrow rows are centred.

    Args:
        rows: of image [height, width, 1 or 3] and two label maps [height, width].
    """
    drawn = [panels(*row) for row in rows]
    width = max(row.shape[1] for row in drawn)
    sheet = []
    for row in drawn:
        left = (width - row.shape[1]) // 2
        spare = ((0, 6), (left, width - row.shape[1] - left), (0, 0))
        sheet.append(np.pad(row, spare, constant_values=255))
    return np.vstack(sheet)


def learning_curve(history: list[dict[str, float]], *, name: str = "learning") -> str:
    """Draw loss and validation Dice over the seconds of training, as SVG.

    Args:
        history: an epoch each, with "elapsed_s", "loss" and "val_dice".
        name: that no other figure of the page has.

    Raises:
        MissingDependency: matplotlib is not installed.

    Example:
        >>> learning_curve([{"elapsed_s": 1.0, "loss": 0.7, "val_dice": 0.5}])[:4]
        '<svg'
    """
    seconds = [row["elapsed_s"] for row in history]
    left, right = colours()["fp16"], colours()["fp32"]
    with styled_figure(_WIDTH, 260) as figure:
        loss = figure.add_axes((0.09, 0.17, 0.82, 0.78))
        dice = loss.twinx()
        loss.plot(seconds, [row["loss"] for row in history], color=left, marker=".")
        dice.plot(seconds, [row["val_dice"] for row in history], color=right, marker=".")
        loss.set_xlabel("seconds of training")
        loss.set_ylabel("training loss", color=left)
        loss.set_ylim(bottom=0)
        dice.set_ylabel("validation Dice", color=right)
        dice.set_ylim(0, 1)
        loss.grid(axis="x")
        last = history[-1]
        return to_svg(
            figure,
            name=name,
            description=f"Training loss and validation Dice over time: after {seconds[-1]:.0f} "
            f"seconds {last['loss']:.3g} and {last['val_dice']:.3f}.",
        )


def latency_chart(latency_ms: dict[str, dict[str, float]]) -> str:
    """Draw each candidate's median, with a line to its 90th percentile, as SVG.

    Args:
        latency_ms: by candidate: "p50" and, where there are samples enough, "p90", in milliseconds.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    names = sorted(latency_ms, key=lambda name: -latency_ms[name]["p50"])
    height = 34 * len(names) + 44
    with styled_figure(_WIDTH, height) as figure:
        axes = figure.add_axes((0.25, 40 / height, 0.73, 1 - 44 / height))
        for place, name in enumerate(names):
            median = latency_ms[name]["p50"]
            upper = latency_ms[name].get("p90", median)
            axes.barh(place, median, height=0.55, color=colours()["fp32"])
            axes.plot([median, upper], [place, place], color=colours()["fp16"], linewidth=3)
            axes.annotate(
                f"{median:.1f} ms", (upper, place), (6, 0), textcoords="offset points", va="center"
            )
        axes.set_yticks(range(len(names)), names, color=colours()["ink"])
        axes.set_xlabel("milliseconds an image: median, and on to the 90th percentile")
        axes.margins(x=0.15)
        axes.set_xlim(left=0)
        axes.grid(axis="x")
        medians = ", ".join(f"{name} {latency_ms[name]['p50']:.1f}" for name in reversed(names))
        return to_svg(
            figure, name="latency", description=f"Median milliseconds an image: {medians}."
        )
