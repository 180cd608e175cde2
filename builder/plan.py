"""Choose a network and its training by what the data are like."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from unetrt.artifacts import KerasFile, sidecar_of
from unetrt.data import Dataset, load_dataset
from unetrt.data.fingerprint import Fingerprint, fingerprint
from unetrt.errors import BadInput
from unetrt.normalization import Normalization

from .spec import DtypePolicy, UNetSpec
from .start import StartingModel
from .train_spec import TrainSpec

__all__ = ["Choice", "Preset", "TrainingPlan", "plan"]

Preset = Literal["auto", "small", "article", "paper"]

_CROP, _LARGE_CROP = 128, 256
_PIXELS = 8 * _CROP**2
"""Pixels of the crops of a batch together."""
_OBJECT_SHARE = 0.5
"""Width of an object as a share of the crop, above which the crop is too small."""
_SMALLEST_BOTTOM = 4
_FIRST_FILTERS = 8
_FAR = 1.5
"""Pixels are clipped where the brightest is so many times further from the darkest than the
percentile 99.5 is: a hot pixel or a piece of metal would else set the scale for all others."""


class Choice(NamedTuple):
    """Hold one thing that was chosen, and why."""

    what: str
    chosen: str
    why: str


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Hold a network, its training, and the reasons for both.

    Attributes:
        found: the figures of the data that it was chosen by.
        unet: the network.
        training: its training.
        reasons: every choice and why it was made.
        normalization: of the pixels before they reach the network; None where the network takes
            them as they are stored.
        start: the model that training starts from in the place of `unet`, if any.
    """

    found: Fingerprint
    unet: UNetSpec
    training: TrainSpec
    reasons: tuple[Choice, ...]
    normalization: Normalization | None = None
    start: StartingModel | None = None


def plan(
    data: Dataset | Fingerprint | str | Path,
    *,
    preset: Preset = "auto",
    dtype_policy: DtypePolicy = "float32",
    start: KerasFile | str | Path | None = None,
    **training: Any,
) -> TrainingPlan:
    """Choose normalisation, depth, crop and batch by the data.

    Args:
        data: a data set, "brain", a folder of images/ and labels/, or a set's figures.
        preset: "auto" is the small network, as deep as the crops allow; "small", "article" and
            "paper" keep their depth.
        dtype_policy: Keras' name of the type that layers compute in while it is trained.
        start: a Keras model to start from; it is the network then, and keeps the normalisation
            that its sidecar names.
        training: fields of `TrainSpec`, which win over the choice; None leaves it open.

    Raises:
        DataError: the folder or a file in it cannot be used.
        BadInput: no such preset, a field that TrainSpec refuses, or a model to start from whose
            classes are not the data's.
        ArtifactError: the model to start from is missing, or not the one its sidecar describes.

    Example:
        >>> chosen = plan("cells", minutes=1)
        >>> chosen.training.minutes, chosen.training.crop, chosen.unet.n_classes
        (1, 128, 2)
    """
    found = data if isinstance(data, Fingerprint) else fingerprint(load_dataset(data))
    if preset not in get_args(Preset):
        raise BadInput(
            "There is no such preset", got=preset, expected=f"one of {', '.join(get_args(Preset))}"
        )
    if start is not None and preset != "auto":
        raise BadInput("Cannot both start from a model and choose a preset", expected="one of them")
    given = {name: value for name, value in training.items() if value is not None}
    pixels, normalization = _normalization(found)
    unet = UNetSpec.paper if preset == "paper" else UNetSpec.small
    unet = UNetSpec.article if preset == "article" else unet
    network = unet(
        (None, None, found.channels), len(found.classes), dtype_policy=dtype_policy, **pixels
    )
    crop, crop_why = _crop(found)
    if "crop" in given:
        crop, crop_why = given["crop"], "as asked"
    network, depth = _deep_enough(network, crop) if preset == "auto" else (network, None)
    asked, crop = crop, network.sizes.covering(crop) - 2 * network.sizes.margin
    if crop != asked:
        crop_why += f", {asked} rounded up to what the network takes"
    batch, batch_why = max(1, _PIXELS // network.sizes.covering(crop) ** 2), "as the crops' pixels"
    if "batch" in given:
        batch, batch_why = given["batch"], "as asked"
    reasons = [
        normalization,
        depth or Choice("network", f"{preset}, {len(network.filters)} poolings", "as asked"),
        Choice("crop", f"{crop} x {crop}", crop_why),
        Choice("batch", str(batch), batch_why),
    ]
    spec = TrainSpec(**{**given, "crop": crop, "batch": batch})
    chosen = TrainingPlan(found, network, spec, tuple(reasons))
    return chosen if start is None else _starting_from(chosen, KerasFile.of(start))


def _starting_from(chosen: TrainingPlan, file: KerasFile) -> TrainingPlan:
    """Return the plan with a model in the place of its network; its sidecar says what it takes."""
    start = StartingModel.of(file, classes=chosen.found.classes)
    reasons = {choice.what: choice for choice in chosen.reasons}
    reasons["network"] = Choice("network", file.path.name, "as asked")
    if not sidecar_of(file.path).exists():
        return replace(chosen, start=start, reasons=tuple(reasons.values()))
    taken = file.normalization
    pixels = "as they are stored" if taken is None else str(taken)
    reasons["pixels"] = Choice("pixels", pixels, f"as {file.path.name} was trained")
    return replace(chosen, start=start, normalization=taken, reasons=tuple(reasons.values()))


def _normalization(found: Fingerprint) -> tuple[dict[str, Any], Choice]:
    least, low, _, high, most = found.percentiles
    far = high > low and (most - least) > _FAR * (high - low) and found.clipped_std > 0
    if found.dtype == "uint8" or not far:  # eight bits have no room for tails
        scale = {"pixel_mean": found.mean, "pixel_std": found.std}
        chosen = f"(pixel - {found.mean:.4g}) / {found.std:.4g}"
        return scale, Choice("pixels", chosen, "mean and deviation of the training images")
    scale = {"pixel_mean": found.clipped_mean, "pixel_std": found.clipped_std}
    chosen = f"clipped to {low:g} to {high:g}, then (pixel - {found.clipped_mean:.4g}) / "
    chosen += f"{found.clipped_std:.4g}"
    return (
        {**scale, "pixel_range": (low, high)},
        Choice("pixels", chosen, f"a few lie as far out as {least:g} and {most:g}"),
    )


def _crop(found: Fingerprint) -> tuple[int, str]:
    """Choose a side that the objects fit in."""
    if found.object_pixels is not None:
        across = 2 * math.sqrt(found.object_pixels.median / math.pi)
        if across > _OBJECT_SHARE * _CROP and min(found.height.median, found.width.median) > _CROP:
            return _LARGE_CROP, f"objects are about {across:.0f} pixels across"
    return _CROP, "small crops train quickest"


def _deep_enough(network: UNetSpec, crop: int) -> tuple[UNetSpec, Choice]:
    """Choose as many poolings as leave the crop some pixels at the bottom."""
    deepest = max(1, int(math.log2(max(2, crop / _SMALLEST_BOTTOM))))
    levels = min(len(network.filters), deepest)
    filters = tuple(_FIRST_FILTERS << level for level in range(levels))
    why = f"{crop} pixels halved so often leave {crop >> levels}"
    choice = Choice("network", f"{levels} poolings, {filters[0]} to {2 * filters[-1]} filters", why)
    return replace(network, filters=filters, bottleneck=2 * filters[-1]), choice
