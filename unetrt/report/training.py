"""Render the page on a training: its plan, its course, its figures, its worst cases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from unetrt.data.writing import COLOURS
from unetrt.metrics import Case, Metrics

from .figures import learning_curve
from .html import png_address, render_template, template

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["Picture", "render_training"]

_MOST_CASES = 500
"""Lines of the table of cases; metrics.json has all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Hold an image, its truth and its prediction side by side.

    Attributes:
        case: that it belongs to.
        image: name of the image; of a volume, of one of its slices.
        png: PNG file of the three.
    """

    case: Case
    image: str
    png: bytes

    @property
    def address(self) -> str:
        """Return the picture as the address of an image."""
        return png_address(self.png)


def render_training(
    *,
    data: str,
    classes: Sequence[str],
    found: Iterable[tuple[str, str]],
    choices: Iterable[tuple[str, str, str]],
    curves: Mapping[str, Iterable[DataclassInstance]],
    metrics: Mapping[str, Metrics],
    judged: str,
    pictures: Sequence[Picture],
) -> str:
    """Render the page; it holds all that it shows, and every name is escaped.

    Args:
        data: name of the data set.
        classes: their names, the background first.
        found: figures of the data: names and values.
        choices: what was chosen, its value, and why.
        curves: epochs of each training, by its name; "" where there is one.
        metrics: thorough figures of each part of the data, by its name.
        judged: the part whose cases are listed.
        pictures: worst cases of that part.

    Raises:
        MissingDependency: Jinja or matplotlib is not installed.
    """
    of_part = metrics[judged]
    cases = sorted(of_part.cases or (), key=lambda case: case.mean_dice)
    return render_template(
        template("training.html.j2"),
        data=data,
        classes=classes,
        colours=COLOURS[1:].astype(int).tolist(),
        found=found,
        choices=choices,
        charts={
            title: learning_curve([asdict(epoch) for epoch in history], name=f"learning{number}")
            for number, (title, history) in enumerate(curves.items())
        },
        metrics=metrics,
        judged=judged,
        part=of_part,
        cases=cases[:_MOST_CASES],
        left_out=len(cases[_MOST_CASES:]),
        volumes=any(case.images > 1 for case in cases),
        pictures=pictures,
    )
