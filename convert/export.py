"""Write Keras models as ONNX; TensorFlow is imported when a model is read."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unetrt import vendor
from unetrt.artifacts import KerasFile, OnnxModel, sidecar_of
from unetrt.data import Dataset, load_dataset
from unetrt.errors import ArtifactError, BadInput, UnetrtError
from unetrt.files import refuse_overwriting
from unetrt.precision import Precision
from unetrt.progress import Progress
from unetrt.tensors import LAYOUTS

if TYPE_CHECKING:
    import keras

    from .precision import PrecisionSpec

__all__ = ["ExportSpec", "export"]

_OPSETS = range(17, 24)
_CHOICES = {
    "layout": LAYOUTS,
    "pixels": ("float32", "uint8", "uint16"),
    "outputs": ("probabilities", "labels", "both"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSpec:
    """Choose the form in which a model is written as ONNX.

    Attributes:
        opset: version of the operators, 17 (TensorRT 8.5 and later) to 23.
        layout: "NHWC", as Keras has it, or "NCHW", for inputs and outputs that are images.
        pixels: type of image inputs; "uint8" or "uint16" are turned into float32 in the graph.
            TensorRT takes no uint16; pixels that are normalised first are float32.
        outputs: "probabilities", "labels" (each pixel's class, uint8 [batch, height, width]), or
            "both".
        size: height and width, in pixels, to trace at where the model leaves them free. They are
            free again in the file, unless a layer holds a size: then the file keeps this one.

    Raises:
        BadInput: a choice that there is not.

    >>> ExportSpec(pixels="uint8", outputs="labels").layout
    'NHWC'
    """

    opset: int = 17
    layout: str = LAYOUTS[0]
    pixels: str = "float32"
    outputs: str = "probabilities"
    size: tuple[int, int] = (256, 256)

    def __post_init__(self) -> None:
        if self.opset not in _OPSETS:
            raise BadInput(
                "Cannot write this opset",
                got=self.opset,
                expected=f"{_OPSETS.start} to {_OPSETS.stop - 1}",
            )
        for name, choices in _CHOICES.items():
            own = getattr(self, name)
            if own not in choices:
                raise BadInput(
                    f"There is no such `{name}` to export",
                    got=own,
                    expected=f"one of {', '.join(choices)}",
                )
        if min(self.size) < 1:
            raise BadInput("Cannot trace at this size", got=self.size, expected="positive sides")


def export(
    model: keras.Model | KerasFile | str | Path,
    path: str | Path,
    spec: ExportSpec | None = None,
    *,
    precision: PrecisionSpec | None = None,
    data: Dataset | str | Path | None = None,
    progress: Progress | None = None,
) -> OnnxModel:
    """Write a Keras model as ONNX, height and width free where they can be.

    Inputs, outputs and nodes bear the names of Keras' layers. Weights over 2 GiB go into a file
    beside it.

    Args:
        model: a .keras or .h5 file, the folder of a SavedModel, or a model in memory.
        path: the file to write; its name ends in .onnx.
        spec: the form of the file; by default float32 NHWC in, probabilities out.
        precision: what to retype the network to, as `to_precision` does; float32 without it.
        data: real images for that.
        progress: is told of every step, and of a height and width that could not be left free.

    Raises:
        MissingDependency: TensorFlow, tf2onnx or onnx-ir is not installed.
        ArtifactError: the file is missing, damaged, or no Keras model.
        BadInput: whole numbers for pixels that are normalised before they go in.
        UnsupportedModel: the network cannot be converted, or does not fit the precision; names
            the layer.
        OutputError: `path` is a file of `model`, or cannot be written.

    >>> written = export("model.keras", "small.onnx", ExportSpec(pixels="uint8"))
    >>> str(written.inputs[0]), written.classes
    ('uint8[batch, height, width, 1]', ('background', 'disc'))
    """
    progress, path = progress or Progress(), Path(path)
    if path.suffix != ".onnx":
        raise BadInput(f"Cannot write {path}", expected="a name ending in .onnx")
    refuse_overwriting([path, sidecar_of(path)], _files_of(model))
    vendor.need_exporter()
    if precision is None or precision.precision == Precision.FP32:
        return _exported(model, path, spec, progress)
    from .precision import to_precision  # noqa: PLC0415  (onnx-ir takes half a second)

    # The float32 file is a step on the way: only what was asked for is left behind.
    with tempfile.TemporaryDirectory() as folder:
        fp32 = _exported(model, Path(folder) / path.name, spec, progress)
        images = None if data is None else load_dataset(data)
        try:
            with progress.step("convert", f"Retyping to {precision.precision}"):
                return to_precision(fp32, path, precision, data=images, source=fp32.source)
        except UnetrtError as error:
            error.args = (str(error).replace(str(fp32.path), fp32.source.get("file", path.name)),)
            raise


def _exported(
    model: keras.Model | KerasFile | str | Path,
    path: Path,
    spec: ExportSpec | None,
    progress: Progress,
) -> OnnxModel:
    if isinstance(model, (str, Path, KerasFile)):
        file = model.path if isinstance(model, KerasFile) else Path(model)
        _check_file(file)  # before TensorFlow takes its seconds
        with progress.step("convert", f"Loading {file.name}"):
            vendor.keras()
            from unetrt.keras_models import read_model  # noqa: PLC0415

            from .saved_model import read_saved_model  # noqa: PLC0415

            network, origin = read_saved_model(file) if file.is_dir() else read_model(file)
        name = file.name
    else:
        network, origin, name = model, None, model.name
    from .to_onnx import export_onnx  # noqa: PLC0415

    with progress.step("convert", f"Converting {name} to ONNX"):
        written = export_onnx(network, path, spec, origin=origin)
    for tensor in written.inputs:
        if tensor.is_image and all(isinstance(side, int) for side in tensor.sides()):
            progress.say(f"height and width of {tensor.name!r} are fixed: {tensor}")
    return written


def _files_of(model: keras.Model | KerasFile | str | Path) -> list[Path]:
    """Return the files that are read; of a SavedModel, all in its folder."""
    if isinstance(model, KerasFile):
        return list(model.files)
    if not isinstance(model, (str, Path)):
        return []
    path = Path(model)
    return list(path.rglob("*")) if path.is_dir() else [path, sidecar_of(path)]


def _check_file(file: Path) -> None:
    if file.is_dir():
        return
    if file.suffix not in KerasFile.SUFFIXES:
        raise ArtifactError(
            f"Cannot export {file}",
            expected="a .keras or .h5 file, or a SavedModel's folder",
            hint="retype an ONNX file with to_precision" if file.suffix == ".onnx" else None,
        )
    KerasFile.load(file)
