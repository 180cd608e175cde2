"""Segment images of any size: whole where memory allows, else in exact tiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unetrt.artifacts import Engine, OnnxModel
from unetrt.errors import BadInput, ShapeError
from unetrt.normalization import NormalizedImage, PixelScale
from unetrt.sizes import ReceptiveField, SizeRule
from unetrt.views import mean_over_views, view_count

from .image_io import ImagePort, ImageSource, mirrored_window
from .tiling import Tiling, choose_blended, choose_tiling, gaussian_weights

__all__ = ["HELD", "Segmenter", "blended_rows", "tiled_rows"]


class Rows(NamedTuple):
    """Hold some rows of a prediction, over the whole width of the image.

    Attributes:
        top: the first of them.
        values: [rows, width] of classes, or [rows, width, classes] of probabilities.
    """

    top: int
    values: NDArray[Any]


def tiled_rows(
    image: ImageSource,
    tiling: Tiling,
    margin: int,
    predict: Callable[[NDArray[Any]], NDArray[Any]],
    *,
    first: int = 0,
    on_tile: Callable[[int], None] = lambda _done: None,
) -> Iterator[Rows]:
    """Yield the prediction of an image from above to below; no more than a row of tiles is held.

    Args:
        image: [height, width, channels].
        tiling: of the image mirrored out to what the network takes.
        margin: pixels by which a prediction is smaller at each edge.
        predict: maps pixels [1, tile height, tile width, channels] to a prediction [1, height,
            width] of classes, or [1, height, width, classes].
        first: how many rows of tiles to leave out, which an earlier run has made.
        on_tile: gets the number of tiles done, those left out included.
    """
    height, width = image.shape[:2]
    for number, row in enumerate(tiling.rows[first:], start=first):
        end = min(row.end, height)
        if row.kept >= end:
            continue  # all of it is mirrored
        made: NDArray[Any] | None = None
        for place, column in enumerate(tiling.columns, start=1):
            right = min(column.end, width)
            if column.kept < right:
                x = mirrored_window(image, row.start - margin, column.start - margin, *tiling.tile)
                values = predict(x[np.newaxis])[0]
                if made is None:
                    made = np.empty((end - row.kept, width, *values.shape[2:]), values.dtype)
                made[:, column.kept : right] = values[
                    row.kept - row.start : end - row.start,
                    column.kept - column.start : right - column.start,
                ]
            on_tile(number * len(tiling.columns) + place)
        assert made is not None  # noqa: S101  (the first column begins at 0)
        yield Rows(row.kept, made)


def blended_rows(
    image: ImageSource,
    tiling: Tiling,
    margin: int,
    predict: Callable[[NDArray[Any]], NDArray[Any]],
    *,
    first: int = 0,
    on_tile: Callable[[int], None] = lambda _done: None,
) -> Iterator[Rows]:
    """Yield weighted means of the predictions of tiles, from above to below.

    No more is held than the rows that one row of tiles reaches. Arguments as of `tiled_rows`, the
    tiling by `choose_blended`; `predict` gives [1, height, width, classes].
    """
    height, width = image.shape[:2]
    tall, wide = tiling.tile[0] - 2 * margin, tiling.tile[1] - 2 * margin
    whole = tiling.columns[-1].end
    weights = gaussian_weights(tall, wide)[:, :, np.newaxis]
    total: NDArray[np.float32] | None = None
    counted = np.zeros((tall, whole, 1), np.float32)
    for number, row in enumerate(tiling.rows):
        # Rows of tiles that overlap the first wanted one count, though they are not yielded.
        if row.start + tall <= tiling.rows[first].start:
            continue
        if row.kept >= height:
            break  # all of it is mirrored
        for place, column in enumerate(tiling.columns, start=1):
            x = mirrored_window(image, row.start - margin, column.start - margin, *tiling.tile)
            values = predict(x[np.newaxis])[0]
            if total is None:
                total = np.zeros((tall, whole, values.shape[2]), np.float32)
            here = slice(column.start, column.start + wide)
            total[:, here] += values * weights
            counted[:, here] += weights
            on_tile(number * len(tiling.columns) + place)
        assert total is not None  # noqa: S101  (there is a column)
        done = row.end - row.start
        if number >= first:
            end = min(done, height - row.start)
            yield Rows(row.kept, total[:end, :width] / counted[:end, :width])
        for sums in (total, counted):  # the rows that are left become the upper ones of the next
            sums[: tall - done] = sums[done:].copy()
            sums[tall - done :] = 0


HELD = 2.25
"""What a library holds, of what the graph's values need: copies in its own layout, and gaps.

Measured on two cores with the article's and the demo's network, 512 to 2048 pixels a side: ONNX
Runtime 1.5 to 2.13, OpenVINO 1.60 to 1.94."""

Run = Callable[[dict[str, NDArray[Any]]], dict[str, NDArray[Any]]]


class Segmenter:
    """Segment images with a network of one image input, whatever its types, layout and sizes.

    Args:
        artifact: the network.
        run: maps its inputs to its outputs, by name.
        prefer: "labels" or "probabilities", where the network gives both.
        memory_bytes: that the network may work in at once.
        blended: average tiles that overlap, in the place of exact ones.
        tta: average the predictions of an image's mirrors and turns.

    Raises:
        ShapeError: the network does not map one image to its classes; or to labels only, of which
            there is no mean.
    """

    def __init__(
        self,
        artifact: OnnxModel | Engine,
        run: Run,
        *,
        prefer: str,
        memory_bytes: float,
        blended: bool = False,
        tta: bool = False,
    ) -> None:
        self.artifact = artifact
        self._run = run
        self._blended = blended
        self._tta = tta
        self._port = ImagePort(artifact, "probabilities" if blended or tta else prefer)
        if tta:
            self._need_probabilities()
        self._most_pixels = (
            memory_bytes / (HELD * artifact.bytes_per_pixel)
            if artifact.bytes_per_pixel
            else math.inf
        )
        self._least, self._most = _taken(artifact, self._port)
        self._rules = tuple(
            artifact.sizes
            if least != most
            else SizeRule(stride, least % stride, artifact.sizes.margin)
            for least, most, stride in zip(
                self._least, self._most, artifact.receptive_field.stride, strict=True
            )
        )
        # A network of fixed sides may take no image on its side.
        axes = zip(self._least, self._most, self._rules, strict=True)
        self._turns = len(set(axes)) == 1
        field = artifact.receptive_field
        self._field = _of_views(field, turns=self._turns) if tta else field

    @property
    def views(self) -> int:
        """Return how many views of an image the network sees: one without `tta`."""
        return view_count(turns=self._turns) if self._tta else 1

    def tiling(self, height: int, width: int) -> Tiling:
        """Choose the tiles of an image of that size: one, if it can be."""
        rules = (self._rules[0], self._rules[1])
        sides = (
            max(rules[0].covering(height), rules[0].at_least(self._least[0])),
            max(rules[1].covering(width), rules[1].at_least(self._least[1])),
        )
        most_pixels = max(self._most_pixels, self._least[0] * self._least[1])
        if self._blended:
            return choose_blended(
                sides, rules, most_pixels=most_pixels, least=self._least, most=self._most
            )
        return choose_tiling(
            sides,
            rules,
            self._field,
            most_pixels=most_pixels,
            least=self._least,
            most=self._most,
        )

    def labels(
        self, image: ImageSource, *, scale: PixelScale | None = None, **options: Any
    ) -> Iterator[Rows]:
        """Yield rows of classes, uint8 [rows, width].

        Args:
            image: [height, width, channels], its pixels as they are stored.
            scale: statistics of the file that the image is a page of, where the network's pixels
                are normalised; None: those of the image, which is then read once more.
            options: as of `tiled_rows`.

        Raises:
            ShapeError: not an image, or of other channels than the network's.
            BadInput: a scale for a network that takes pixels as they are stored.
            DataError: pixels to normalise that are not finite numbers.
        """
        return self._rows(image, self.labels_of, scale, options)

    def probabilities(
        self, image: ImageSource, *, scale: PixelScale | None = None, **options: Any
    ) -> Iterator[Rows]:
        """Yield rows of probabilities, float32 [rows, width, classes]; as `labels` does.

        Raises:
            ShapeError: the network gives labels only.
        """
        self._need_probabilities()
        return self._rows(image, self.probabilities_of, scale, options)

    def labels_of(self, x: NDArray[Any]) -> NDArray[np.uint8]:
        """Run the network on pixels [1, height, width, channels] of a size and scale it takes."""
        return self._port.labels(self.probabilities_of(x))

    def probabilities_of(self, x: NDArray[Any]) -> NDArray[Any]:
        """Predict probabilities of such pixels; labels where the network gives no others."""
        return (
            mean_over_views(self._predict, x, turns=self._turns) if self._tta else self._predict(x)
        )

    def _predict(self, x: NDArray[Any]) -> NDArray[Any]:
        return self._port.prediction(self._run(self._port.feed(x)))

    def classes_of(self, probabilities: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the classes of probabilities [height, width, classes]."""
        labels: NDArray[np.uint8] = self._port.labels(probabilities[np.newaxis])[0]
        return labels

    def _normalized(self, image: ImageSource, scale: PixelScale | None) -> ImageSource:
        """Return an image on the network's scale, by the statistics of all of its pixels."""
        normalization = self.artifact.normalization
        if normalization is not None:
            return NormalizedImage(image, scale or normalization.measure([image]))
        if scale is not None:
            raise BadInput(
                f"The network of {self.artifact.path} takes pixels as they are stored",
                got="a scale to normalise them by",
                expected="none",
            )
        return image

    def _need_probabilities(self) -> None:
        if self._port.gives_labels:
            raise ShapeError(
                f"{self.artifact.path} gives no probabilities",
                got="labels",
                hint="convert the model again with `outputs='probabilities'` or `outputs='both'`",
            )

    def _rows(
        self,
        image: ImageSource,
        predict: Callable[[NDArray[Any]], NDArray[Any]],
        scale: PixelScale | None,
        options: dict[str, Any],
    ) -> Iterator[Rows]:
        if len(image.shape) != 3 or min(image.shape) < 1:  # noqa: PLR2004
            raise ShapeError(
                "Cannot segment", got=f"shape {image.shape}", expected="[height, width, channels]"
            )
        if image.shape[2] != self._port.channels:
            raise ShapeError(
                f"The network of {self.artifact.path} takes other images",
                got=f"{image.shape[2]} channels",
                expected=self._port.channels,
            )
        tiling = self.tiling(*image.shape[:2])
        margin = self.artifact.sizes.margin
        image = self._normalized(image, scale)
        if not self._blended or tiling.count == 1:
            return tiled_rows(image, tiling, margin, predict, **options)
        self._need_probabilities()
        rows = blended_rows(image, tiling, margin, self.probabilities_of, **options)
        if predict == self.probabilities_of:
            return rows
        return (Rows(top, self.classes_of(values)) for top, values in rows)


def joined(rows: Iterator[Rows], height: int) -> NDArray[Any]:
    """Return all rows of a prediction as one array."""
    whole: NDArray[Any] | None = None
    for top, values in rows:
        if len(values) == height:
            return values
        if whole is None:
            whole = np.empty((height, *values.shape[1:]), values.dtype)
        whole[top : top + len(values)] = values
    assert whole is not None  # noqa: S101  (an image has rows)
    return whole


def _of_views(field: ReceptiveField, *, turns: bool) -> ReceptiveField:
    """Return the field of a mean over views: as far on one side as on the other."""
    reach = [max(pair) for pair in zip(field.before, field.after, strict=True)]
    high, wide = [max(reach)] * 2 if turns else reach
    return replace(field, before=(high, wide), after=(high, wide))


def _taken(
    artifact: OnnxModel | Engine, port: ImagePort
) -> tuple[tuple[int, int], tuple[float, float]]:
    """Return the least and the most height and width that the network takes at once."""
    profile = artifact.profile_of(port.input)
    if profile is not None:
        return port.input.sides(profile.min), port.input.sides(profile.max)
    own = [(side, side) if isinstance(side, int) else (1, math.inf) for side in port.input.sides()]
    return (int(own[0][0]), int(own[1][0])), (own[0][1], own[1][1])
