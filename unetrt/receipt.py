"""Record the types that an engine really computes in."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Self

__all__ = ["Inspection", "Receipt"]


@dataclass(frozen=True, slots=True)
class Inspection:
    """Count the layers of a built engine.

    Attributes:
        layers: number of them after the builder has fused some.
        reformats: number of those that only change a tensor's layout or type.
        types: number of the others by the floating-point or quantised type of their first input;
            empty where the engine holds layers' names only.
        inputs_and_outputs: names of the engine's own tensors.
    """

    layers: int
    reformats: int
    types: dict[str, int]
    inputs_and_outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Record the types that an engine computes in; an empty one is that of an engine never read.

    >>> receipt = Receipt(convolution_share={"fp16": 0.75, "fp32": 0.25}, convolutions=4)
    >>> Receipt.from_json(receipt.to_json()) == receipt
    True

    Attributes:
        convolution_share: share of the convolutions' floating-point operations in each type, from
            0 to 1; "int8" where images and weights both come dequantised.
        convolution_flops: all of them, for one run at `shape`; a multiply-add counts twice.
        shape: of the first input, at which they were counted.
        convolutions: number of convolutions, transposed ones included.
        matmul_share: as convolution_share, of matrix products; empty where there are none.
        casts: number of layers that change one floating-point type into another.
        layers: number of layers of the network, before the builder fuses them.
        tf32: whether float32 convolutions were allowed to round their inputs to TF32.
        kept: the convolutions that the model leaves in another type than asked for, each with its
            type.
        inspection: of the engine itself; None where no inspector could run.
    """

    convolution_share: dict[str, float] = field(default_factory=dict)
    convolution_flops: int = 0
    shape: tuple[int, ...] = ()
    convolutions: int = 0
    matmul_share: dict[str, float] = field(default_factory=dict)
    casts: int = 0
    layers: int = 0
    tf32: bool = False
    kept: dict[str, str] = field(default_factory=dict)
    inspection: Inspection | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        made = {**asdict(self), "shape": list(self.shape)}
        if self.inspection is not None:
            names = list(self.inspection.inputs_and_outputs)
            made["inspection"] |= {"inputs_and_outputs": names}
        return made

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            TypeError, KeyError, ValueError: it is not that.
        """
        inspection = fields["inspection"]
        if inspection is not None:
            names = tuple(inspection["inputs_and_outputs"])
            inspection = Inspection(**inspection | {"inputs_and_outputs": names})
        return cls(**fields | {"shape": tuple(map(int, fields["shape"])), "inspection": inspection})
