"""Compare ways to run a network: by each pixel's probabilities, by Dice, by the golden sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.artifacts import Engine, OnnxModel
from unetrt.data.dataset import Sample
from unetrt.errors import BadInput, CheckFailed, ParityError
from unetrt.golden import GoldenOutput, GoldenSample
from unetrt.overlap import OverlapCounter
from unetrt.precision import Precision, Tolerance
from unetrt.sizes import SizeRule, as_batch
from unetrt.tensors import IMAGE_RANK, TensorSpec

__all__ = [
    "Parity",
    "Predict",
    "SelfTest",
    "compare",
    "judged_by",
    "run_self_test",
]

Predict = Callable[[NDArray[Any]], NDArray[Any]]
"""From pixels [1, height, width, channels] to float32 probabilities [1, height, width, classes], or
to labels uint8 [1, height, width]."""


@dataclass(frozen=True, slots=True)
class Parity:
    """Tell how far one candidate is from the reference, over all samples.

    >>> parity = Parity("m.onnx", {"cell": 0.9}, max_abs_diff=0.2, worst="a", dice_diff=0.0)
    >>> parity.check()
    Traceback (most recent call last):
        ...
    unetrt.errors.ParityError: m.onnx disagrees with the reference: got a probability off by 0.2,
    expected at most 0.0001; do not deploy it; check the conversion that made it.

    Attributes:
        name: of the candidate.
        dice: per class and `per_image_foreground`.
        max_abs_diff: largest difference of a probability from the reference's; NaN if any is; None
            where there are labels only.
        worst: name of the sample on which it is.
        dice_diff: largest difference of a Dice from the reference's.
        precision: by whose tolerance it is judged.
    """

    name: str
    dice: dict[str, float]
    max_abs_diff: float | None
    worst: str
    dice_diff: float
    precision: Precision = Precision.FP32

    def check(self, tolerance: Tolerance | None = None) -> None:
        """See that it is near enough.

        Args:
            tolerance: that of the precision if None.

        Raises:
            ParityError: it is not; names the candidate.
        """
        tolerance = tolerance or self.precision.tolerance
        if self.max_abs_diff is not None and not self.max_abs_diff <= tolerance.max_abs_diff:
            # NaN fails too
            raise ParityError(
                f"{self.name} disagrees with the reference",
                got=f"a probability off by {self.max_abs_diff:.2g}",
                expected=f"at most {tolerance.max_abs_diff:g}",
                hint="do not deploy it; check the conversion that made it",
            )
        if not self.dice_diff <= tolerance.dice:
            raise ParityError(
                f"{self.name} disagrees with the reference",
                got=f"a Dice off by {self.dice_diff:.2g}",
                expected=f"at most {tolerance.dice:g}",
                hint="do not deploy it; keep sensitive layers in float32",
            )


def compare(
    reference: tuple[str, Predict],
    candidates: Mapping[str, Predict],
    samples: Iterable[Sample],
    classes: tuple[str, ...],
    sizes: SizeRule,
    on_sample: Callable[[int], None] = lambda _done: None,
) -> dict[str, Parity]:
    """Run a reference and candidates over samples, image by image.

    Args:
        reference: its name, and what runs it.
        candidates: what runs each, by name.
        samples: images on the scale that the networks take, and their labels.
        classes: names of the labels' numbers, the background first.
        sizes: of images that all of them take.
        on_sample: gets the number of images done.

    Returns:
        The parity of each by name, that of the reference first.

    Raises:
        BadInput: a candidate bears the reference's name.
        ParityError: an output has another shape than the image and the classes ask for.

    >>> even = lambda x: np.full((*x.shape[:3], 2), 0.5, np.float32)
    >>> sample = Sample("a", np.zeros((8, 8, 1), np.uint8), np.zeros((8, 8), np.uint8))
    >>> found = compare(("keras", even), {"onnx": even}, [sample], ("none", "cell"), SizeRule())
    >>> found["onnx"].max_abs_diff, found["onnx"].dice_diff
    (0.0, 0.0)
    """
    if reference[0] in candidates:
        raise BadInput("Two artifacts to compare have one name", got=reference[0])
    predictors: dict[str, Predict] = dict((reference, *candidates.items()))
    dice = {name: OverlapCounter(classes) for name in predictors}
    difference: dict[str, float | None] = dict.fromkeys(predictors, 0.0)
    worst = dict.fromkeys(predictors, "")
    for number, sample in enumerate(samples, start=1):
        x = as_batch(sample.image, sizes)
        expected: NDArray[Any] | None = None
        predicted = (side - 2 * sizes.margin for side in x.shape[1:3])
        expected_shape = (1, *predicted, len(classes))
        height, width = sample.label.shape
        for name, predict in predictors.items():
            output = _checked(name, predict(x), expected_shape)
            expected = output if expected is None else expected
            off = _difference(output, expected)
            known = difference[name]
            if off is None or known is None:
                difference[name] = None
            elif not off <= known:  # a NaN stays the worst
                difference[name], worst[name] = off, sample.name
            labels = output if output.ndim != IMAGE_RANK else output.argmax(axis=-1)
            dice[name].add(sample.label, labels[0, :height, :width])
        on_sample(number)
    own = dice[reference[0]].to_json()
    return {
        name: Parity(
            name=name,
            dice=(found := dice[name].to_json()),
            max_abs_diff=difference[name],
            worst=worst[name],
            dice_diff=max(abs(found[key] - own[key]) for key in own),
        )
        for name in predictors
    }


def _difference(output: NDArray[Any], expected: NDArray[Any]) -> float | None:
    """Return the largest difference of a probability, None where one of them has labels only."""
    if output.ndim != expected.ndim:
        return None
    return float(np.abs(output.astype(np.float32) - expected).max())


def _checked(name: str, output: NDArray[Any], expected: tuple[int, ...]) -> NDArray[Any]:
    """Return probabilities of both classes where a sigmoid's one channel came."""
    if output.ndim == IMAGE_RANK and output.shape[-1] == 1 and expected[-1] == 2:  # noqa: PLR2004
        output = np.concatenate([1 - output, output], axis=-1)
    if output.shape not in (expected, expected[:3]):
        raise ParityError(f"{name} gives another shape", got=output.shape, expected=expected)
    return output


_HALF = 0.5

_MEAN_SHARE = 0.1
"""Of the largest difference allowed, that the mean may reach: one pixel may tip, not all."""

Run = Callable[[dict[str, NDArray[Any]]], dict[str, NDArray[Any]]]
"""From all inputs of a network to all its outputs, by name."""


@dataclass(frozen=True, slots=True)
class SelfTest:
    """Tell how far a network is from its golden sample.

    Attributes:
        precision: by whose tolerance it was judged.
        height, width: of the golden sample's images.
        max_abs_diff: largest difference from Keras, of a probability; where an output is none, as a
            share of its largest value. None where there are labels only.
        mean_abs_diff: the mean, of the output where it is largest.
        labels_that_differ: share of pixels that Keras is sure of; None without label outputs.
    """

    precision: Precision
    height: int
    width: int
    max_abs_diff: float | None
    mean_abs_diff: float | None
    labels_that_differ: float | None


def run_self_test(artifact: OnnxModel | Engine, run: Run, computed_in: str) -> SelfTest:
    """Run the golden sample and compare the outputs with those of the Keras model.

    Args:
        artifact: the network.
        run: runs it.
        computed_in: the type that `run` computes in, as of `Session.info`.

    Raises:
        CheckFailed: they differ by more than the precision allows, or are of another shape.
        BadInput: the artifact carries no golden sample.

    >>> from pathlib import Path
    >>> model = OnnxModel.load(Path("model.onnx"))
    >>> run_self_test(model, lambda inputs: inputs, "float32")
    Traceback (most recent call last):
        ...
    unetrt.errors.BadInput: model.onnx carries no golden sample; convert the Keras model again; a
    network that takes more than images has none.
    """
    golden = artifact.golden
    if golden is None:
        raise BadInput(
            f"{artifact.path} carries no golden sample",
            hint="convert the Keras model again; a network that takes more than images has none",
        )
    precision = judged_by(artifact, computed_in)
    tolerance = precision.tolerance
    made = run({tensor.name: x for tensor, x in _feeds(artifact, golden)})
    differences: list[NDArray[Any]] = []
    wrong: list[float] = []
    for tensor, output in _paired(artifact, golden):
        y = tensor.to_nhwc(made[tensor.name])
        found, expected = output.same_pixels(y).astype(np.float32), output.values.array
        if y.dtype == np.uint8:
            found, expected, sure = _labels(found, expected, tolerance)
            _same_count(artifact, tensor.name, found, expected)
            wrong.append(float((found != expected)[sure].mean()) if sure.any() else 0.0)
        else:
            _same_count(artifact, tensor.name, found, expected)
            differences.append(np.abs(found - expected) / max(1.0, float(np.abs(expected).max())))
    result = SelfTest(
        precision,
        golden.height,
        golden.width,
        max((float(d.max()) for d in differences), key=_nan_last, default=None),
        max((float(d.mean()) for d in differences), key=_nan_last, default=None),
        max(wrong, default=None),
    )
    _judge(artifact, result, tolerance)
    return result


def _judge(artifact: OnnxModel | Engine, result: SelfTest, tolerance: Tolerance) -> None:
    for what, off, most in (
        ("a value off by", result.max_abs_diff, tolerance.max_abs_diff),
        ("values off by a mean of", result.mean_abs_diff, _MEAN_SHARE * tolerance.max_abs_diff),
        ("a share of other labels of", result.labels_that_differ, tolerance.dice),
    ):
        if off is not None and not off <= most:  # NaN fails too
            raise CheckFailed(
                f"{artifact.path} disagrees with Keras on its golden sample",
                got=f"{what} {off:.2g}",
                expected=f"at most {most:g} in {result.precision}",
                hint="do not use it on this machine: convert or build it again, and verify it",
            )


def judged_by(artifact: OnnxModel | Engine, computed_in: str) -> Precision:
    """Return the precision whose tolerance applies: the coarser of the file's and the arithmetic's.

    Args:
        artifact: the network.
        computed_in: the type that it is computed in, as of `Session.info`.

    >>> from pathlib import Path
    >>> judged_by(OnnxModel.load(Path("model.onnx")), "bfloat16, the rest float32")
    <Precision.BF16: 'bf16'>
    """
    computed = Precision.lookup("compute_dtype", computed_in.partition(",")[0])
    return Precision.of(artifact.precision).coarser(computed or Precision.FP32)


def _feeds(
    artifact: OnnxModel | Engine, golden: GoldenSample
) -> Iterator[tuple[TensorSpec, NDArray[Any]]]:
    """Yield each input with its image, in its type and layout, repeated to the smallest batch."""
    for tensor in artifact.inputs:
        x = golden.feed(tensor.name, tensor.dtype)
        profile = artifact.profile_of(tensor)
        least = tensor.shape[0] if profile is None else profile.min[0]
        x = np.repeat(x, least if isinstance(least, int) else 1, axis=0)
        yield tensor, tensor.from_nhwc(x)


def _paired(
    artifact: OnnxModel | Engine, golden: GoldenSample
) -> Iterator[tuple[TensorSpec, GoldenOutput]]:
    """Yield each output with the Keras model's own, labels with that of their probabilities.

    An export adds labels for every image that comes out, in order.
    """
    maps = iter(golden.outputs.values())
    for tensor in artifact.outputs:
        own = golden.outputs.get(tensor.name)
        if own is not None:
            yield tensor, own
        elif tensor.dtype == "uint8":
            yield tensor, next(output for output in maps if output.is_image)


def _labels(
    found: NDArray[Any], expected: NDArray[Any], tolerance: Tolerance
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return labels, Keras' own, and a mask of those that no rounding allowed can tip."""
    if expected.shape[1] == 1:
        best, lead = expected[:, 0] > _HALF, 2 * np.abs(expected[:, 0] - _HALF)
    else:
        ranked = np.sort(expected, axis=1)
        best, lead = expected.argmax(axis=1), ranked[:, -1] - ranked[:, -2]
    return found[:, 0], best.astype(np.float32), lead > min(2 * tolerance.max_abs_diff, _HALF)


def _same_count(
    artifact: OnnxModel | Engine, name: str, found: NDArray[Any], expected: NDArray[Any]
) -> None:
    if found.shape != expected.shape:
        raise CheckFailed(
            f"{artifact.path} gives another shape of {name!r} than Keras",
            got=found.shape,
            expected=expected.shape,
        )


def _nan_last(value: float) -> float:
    return np.inf if np.isnan(value) else value
