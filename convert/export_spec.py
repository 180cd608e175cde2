"""Choose the form in which a model is written as ONNX."""

from __future__ import annotations

from dataclasses import dataclass

from unetrt.errors import BadInput
from unetrt.tensors import LAYOUTS

__all__ = ["ExportSpec"]

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
            TensorRT takes no uint16.
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
