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
from .train_spec import Augmentation, Axis, TrainSpec

__all__ = ["Choice", "Preset", "TrainingPlan", "plan"]

Preset = Literal["auto", "small", "article", "paper"]

_CROP, _LARGE_CROP = 128, 256
_PIXELS = 8 * _CROP**2
"""Pixels of the crops of a batch together."""
_MOST_CROPS = 16
"""Crops of a batch: in as much time small batches take more steps and learn more. Of 40 x 56
pixels, 16 at once came to a Dice of 0.80 in two minutes of one core, 58 to 0.78."""
_OBJECT_SHARE = 0.5
"""Width of an object as a share of the crop, above which the crop is too small."""
_SMALLEST_BOTTOM = 4
_DEEPEST = 4
_FIRST_FILTERS = 8
_WIDE_MINUTES = 5.0
"""Minutes of batches of `_PIXELS` from which twice the filters pay. Slices of 40 x 56, whose
batches are a quarter of that: Dice 0.80 and 0.79 after two minutes of one core, 0.84 and 0.85
after three of two."""
_FAR = 1.5
"""Pixels are clipped where the brightest is so many times further from the darkest than the
percentile 99.5 is: a hot pixel or a piece of metal would else set the scale for all others."""
_DRIFT = 3.0
"""Files whose classes lie this many deviations apart have no common scale. Measured: slices of one
scan 1.8, fluorescence images of one microscope 4.7, MRI with a factor of its own in each file
hundreds."""
_CALIBRATED, _CALIBRATED_DRIFT = -500, 10.0
"""Pixels this far below zero are Hounsfield units (air is -1000) if classes lie no further apart:
tissue has its number in every CT, with and without a contrast agent."""
_CHANNELS = 3.0
"""Channels whose deviations differ by more than this factor each need a scale of their own."""
_RARE, _SHOWN, _RARE_SHOWN = 0.01, 0.33, 0.5
"""Share of the pixels below which a class is rare, and the shares of crops that are drawn to show a
class: of every set (nnU-Net's), and where one is rare."""
_PLACE, _ALIKE = 0.15, 0.9
"""Correlation with the mean label from which classes have their places, and the share of it that a
mirrored mean label must keep to allow that mirror."""
_ELASTIC = 1 / 12
"""Displacement of an elastic deformation as a share of a small crop's shorter side."""
_TILT = 15.0
"""Largest rotation, in degrees, of images in which classes have their places."""


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
        (1, (48, 56), 2)
    """
    found = data if isinstance(data, Fingerprint) else fingerprint(load_dataset(data))
    if preset not in get_args(Preset):
        raise BadInput(
            "There is no such preset", got=preset, expected=f"one of {', '.join(get_args(Preset))}"
        )
    if start is not None and preset != "auto":
        raise BadInput("Cannot both start from a model and choose a preset", expected="one of them")
    given = {name: value for name, value in training.items() if value is not None}
    normalization, pixels, pixels_choice = _normalization(found)
    unet = UNetSpec.paper if preset == "paper" else UNetSpec.small
    unet = UNetSpec.article if preset == "article" else unet
    network = unet(
        (None, None, found.channels), len(found.classes), dtype_policy=dtype_policy, **pixels
    )
    spec = TrainSpec(**given)
    crop, crop_why = (spec.crop_size, "as asked") if "crop" in given else _crop(found)
    network, depth = _sized(network, crop, spec) if preset == "auto" else (network, None)
    asked = crop
    height, width = (network.sizes.covering(side) - 2 * network.sizes.margin for side in crop)
    crop = height, width
    if crop != asked:
        crop_why += f", {asked[0]} x {asked[1]} rounded up to what the network takes"
    covered = math.prod(network.sizes.covering(side) for side in crop)
    batch = _batch(covered)
    batch_why = "small batches take more steps in as much time"
    if "batch" in given:
        batch, batch_why = given["batch"], "as asked"
    augmentation, variation = _augmentation(found)
    # The paper's 10 pixels are of tiles of 572; a small crop would be torn.
    elastic = min(augmentation.elastic, min(crop) * _ELASTIC)
    shown, sampling = _foreground(found)
    augmentation = replace(augmentation, elastic=elastic, foreground=shown)
    reasons = [
        pixels_choice,
        depth or Choice("network", f"{preset}, {len(network.filters)} poolings", "as asked"),
        Choice("crop", f"{height} x {width}", crop_why),
        Choice("batch", str(batch), batch_why),
        *variation,
        sampling,
    ]
    spec = replace(spec, crop=crop, batch=batch)
    if "augmentation" not in given:
        spec = replace(spec, augmentation=augmentation)
    chosen = TrainingPlan(found, network, spec, tuple(reasons), normalization)
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


def _normalization(found: Fingerprint) -> tuple[Normalization | None, dict[str, Any], Choice]:
    """Choose between each file's own scale and one for all, which the network's graph holds."""
    why = _without_scale(found)
    if why:
        chosen = Normalization()
        return chosen, {}, Choice("pixels", f"normalised, {chosen}", why)
    pixels, choice = _common_scale(found)
    return None, pixels, choice


def _without_scale(found: Fingerprint) -> str:
    """Say why the files have no common scale; nothing where they have one."""
    shown = {name: found.levels[name] for name in found.classes[1:] if name in found.levels}
    drifting = max(shown, key=lambda name: shown[name].drift, default=None)
    drift = shown[drifting].drift if drifting else 0.0
    if found.percentiles[0] <= _CALIBRATED and drift < _CALIBRATED_DRIFT:
        return ""
    if "," in found.dtype:
        return f"pixels of {found.dtype} in one set have no common scale"
    if found.dtype.startswith("float"):
        return f"nothing says what scale {found.dtype} pixels of another file have"
    narrow, wide = min(found.channel_stds), max(found.channel_stds)
    if wide > _CHANNELS * narrow:
        return f"channels have scales of their own, deviations from {narrow:.3g} to {wide:.3g}"
    if drifting is None or drift < _DRIFT:
        return ""
    levels = shown[drifting]
    return (
        f"{drifting} lies at {levels.low:.3g} to {levels.high:.3g} from file to file, "
        f"+-{levels.within:.3g} within one"
    )


def _common_scale(found: Fingerprint) -> tuple[dict[str, Any], Choice]:
    least, low, _, high, most = found.percentiles
    far = high > low and (most - least) > _FAR * (high - low) and found.clipped_std > 0
    if found.dtype == "uint8" or not far:  # eight bits have no room for tails
        scale = {"pixel_mean": found.mean, "pixel_std": found.std}
        chosen = f"(pixel - {found.mean:.4g}) / {found.std:.4g}"
        return scale, Choice("pixels", chosen, "one scale, mean and deviation of all files")
    scale = {"pixel_mean": found.clipped_mean, "pixel_std": found.clipped_std}
    chosen = f"clipped to {low:g} to {high:g}, then (pixel - {found.clipped_mean:.4g}) / "
    chosen += f"{found.clipped_std:.4g}"
    return (
        {**scale, "pixel_range": (low, high)},
        Choice("pixels", chosen, f"a few lie as far out as {least:g} and {most:g}"),
    )


def _augmentation(found: Fingerprint) -> tuple[Augmentation, list[Choice]]:
    """Choose the mirrors and turns that leave an image one of the set."""
    place = found.symmetry
    if place is None or place.as_is < _PLACE:
        why = "classes have no place of their own in the image"
        return Augmentation(), [Choice("mirrors and turns", "all", why)]
    names: dict[Axis, float] = {"horizontal": place.mirrored, "vertical": place.flipped}
    mirrors = tuple(name for name, like in names.items() if like >= _ALIKE * place.as_is)
    turns = place.turned >= _ALIKE * place.as_is and len(mirrors) == len(names)
    augmentation = Augmentation(mirrors=mirrors, turns=turns, rotation=180.0 if turns else _TILT)
    chosen = f"{' and '.join(mirrors) or 'no'} mirrors, "
    chosen += "any turn" if turns else f"tilts of {_TILT:g} degrees"
    why = (
        f"labels are like their mean by {place.as_is:.2f}, mirrored {place.mirrored:.2f}, upside "
        f"down {place.flipped:.2f}, turned {place.turned:.2f}"
    )
    return augmentation, [Choice("mirrors and turns", chosen, why)]


def _foreground(found: Fingerprint) -> tuple[float, Choice]:
    """Choose the share of crops that are drawn to show a class; Dice in the loss weighs it."""
    rarest = min(found.classes[1:], key=lambda name: found.shares[name])
    share = found.shares[rarest]
    shown = _RARE_SHOWN if share < _RARE else _SHOWN
    why = f"{rarest} is {share:.2%} of the pixels; each class in turn, and Dice weighs them alike"
    return shown, Choice("crops centred on a class", f"{shown:.0%} of each batch", why)


def _crop(found: Fingerprint) -> tuple[tuple[int, int], str]:
    """Choose a size that the objects fit in, and that is no larger than the images."""
    side, why = _CROP, "small crops train quickest"
    if found.object_pixels is not None:
        across = 2 * math.sqrt(found.object_pixels.median / math.pi)
        if across > _OBJECT_SHARE * _CROP and min(found.height.median, found.width.median) > _CROP:
            side, why = _LARGE_CROP, f"objects are about {across:.0f} pixels across"
    crop = min(side, found.height.median), min(side, found.width.median)
    if min(crop) < side:
        why = "as large as half of the images"
    return crop, why


def _batch(pixels: int) -> int:
    """Choose a number of crops of so many pixels."""
    return min(_MOST_CROPS, max(1, _PIXELS // pixels))


def _sized(network: UNetSpec, crop: tuple[int, int], spec: TrainSpec) -> tuple[UNetSpec, Choice]:
    """Choose as many poolings as the crop allows, and as many filters as the time does."""
    side = min(crop)
    deepest = max(1, int(math.log2(max(2, side / _SMALLEST_BOTTOM))))
    levels = min(_DEEPEST, deepest)
    pixels = crop[0] * crop[1]
    minutes = spec.minutes * _PIXELS / (pixels * _batch(pixels)) if spec.epochs is None else 0.0
    first = _FIRST_FILTERS * (2 if minutes >= _WIDE_MINUTES else 1)
    filters = tuple(first << level for level in range(levels))
    why = f"{side} pixels halved so often leave {-(-side >> levels)}"
    if spec.epochs is None:
        why += f"; {spec.minutes:g} minutes teach so many filters best"
    choice = Choice("network", f"{levels} poolings, {first} to {2 * filters[-1]} filters", why)
    return replace(network, filters=filters, bottleneck=2 * filters[-1]), choice
