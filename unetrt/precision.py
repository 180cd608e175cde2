"""Name the types that networks compute in, as unetrt and as each library calls them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from unetrt.errors import BadInput

__all__ = ["Precision", "Tolerance"]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Bound how far a candidate may be from its reference.

    Attributes:
        max_abs_diff: of any probability, from 0 to 1.
        dice: of any class, and of the per-image foreground, from 0 to 1.
    """

    max_abs_diff: float
    dice: float


class Precision(StrEnum):
    """Name a precision: it is its own name, a string, and knows all others that it goes by.

    >>> half = Precision.of("fp16")
    >>> half == "fp16", half.numpy, half.tensorrt, half.itemsize
    (True, 'float16', 'HALF', 2)
    >>> Precision.from_onnx("BFLOAT16")
    <Precision.BF16: 'bf16'>

    Attributes:
        numpy: the type's name in NumPy, or in ml_dtypes where NumPy has none; also Keras' and
            torch's.
        onnx: its name in `onnx.TensorProto.DataType` and `onnx_ir.DataType`.
        tensorrt: its name in `tensorrt.DataType`.
        openvino: its name in `openvino.Type`.
        bits: of one number.
    """

    numpy: str
    onnx: str
    tensorrt: str
    openvino: str
    bits: int

    # fmt: off
    #       itself, NumPy,            ONNX,           TensorRT, OpenVINO, bits
    FP32 = "fp32", "float32",         "FLOAT",        "FLOAT",  "f32",    32
    TF32 = "tf32", "float32",         "FLOAT",        "FLOAT",  "f32",    32
    FP16 = "fp16", "float16",         "FLOAT16",      "HALF",   "f16",    16
    BF16 = "bf16", "bfloat16",        "BFLOAT16",     "BF16",   "bf16",   16
    INT8 = "int8", "int8",            "INT8",         "INT8",   "i8",     8
    FP8 =  "fp8",  "float8_e4m3fn",   "FLOAT8E4M3FN", "FP8",    "f8e4m3", 8
    INT4 = "int4", "int4",            "INT4",         "INT4",   "i4",     4
    FP4 =  "fp4",  "float4_e2m1fn",   "FLOAT4E2M1",   "FP4",    "f4e2m1", 4
    # fmt: on

    def __new__(
        cls, name: str, numpy: str, onnx: str, tensorrt: str, openvino: str, bits: int
    ) -> Self:
        """Make a member; its value is its name alone."""
        own = str.__new__(cls, name)
        own._value_ = name
        own.numpy, own.onnx, own.tensorrt, own.openvino = numpy, onnx, tensorrt, openvino
        own.bits = bits
        return own

    @property
    def itemsize(self) -> int:
        """Return the bytes of one number in memory; one for 4 bits, as in NumPy's arrays."""
        return -(-self.bits // 8)

    @property
    def compute_dtype(self) -> str:
        """Return what a library is said to compute in: NumPy's name, but "tf32" of TF32."""
        return str(self) if self == Precision.TF32 else self.numpy

    @property
    def tolerance(self) -> Tolerance:
        """Return how far a network that computes in it may be from one in float32.

        Raises:
            BadInput: nothing was measured in it.
        """
        return self._measured[0]

    @property
    def divergence(self) -> float:
        """Return how far one value within a network may be off before its layer is at fault.

        As a share of its tensor's largest magnitude: some ten times what rounding alone does over
        the depth of a U-Net.

        Raises:
            BadInput: nothing was measured in it.
        """
        return self._measured[1]

    @property
    def _measured(self) -> tuple[Tolerance, float]:
        known = _MEASURED.get(self)
        if known is None:
            raise BadInput(
                "There is no tolerance for this precision",
                got=self,
                expected=_listed(list(_MEASURED)),
            )
        return known

    def coarser(self, other: Precision) -> Precision:
        """Return the one of larger tolerance, this one where they have the same.

        Raises:
            BadInput: nothing was measured in one of them.

        >>> Precision.FP32.coarser(Precision.BF16)
        <Precision.BF16: 'bf16'>
        """
        return max(self, other, key=lambda precision: precision.tolerance.max_abs_diff)

    @classmethod
    def of(cls, name: str) -> Precision:
        """Return the precision of unetrt's own name, such as "fp16".

        Raises:
            BadInput: there is none of that name.
        """
        return cls._must("precision", "value", name)

    @classmethod
    def from_numpy(cls, name: str) -> Precision:
        """Return the precision of NumPy's name of a type: "float16"; of "float32", FP32.

        Raises:
            BadInput: networks do not compute in that type.
        """
        return cls._must("NumPy type to compute in", "numpy", name)

    @classmethod
    def from_onnx(cls, name: str) -> Precision:
        """Return the precision of ONNX' name of a type: "FLOAT16".

        Raises:
            BadInput: networks do not compute in that type.
        """
        return cls._must("ONNX type to compute in", "onnx", name)

    @classmethod
    def from_tensorrt(cls, name: str) -> Precision:
        """Return the precision of TensorRT's name of a type: "HALF".

        Raises:
            BadInput: networks do not compute in that type.
        """
        return cls._must("TensorRT type to compute in", "tensorrt", name)

    @classmethod
    def from_openvino(cls, name: str) -> Precision:
        """Return the precision of OpenVINO's name of a type: "f16".

        Raises:
            BadInput: networks do not compute in that type.
        """
        return cls._must("OpenVINO type to compute in", "openvino", name)

    @classmethod
    def from_compute_dtype(cls, text: str) -> Precision:
        """Return the first precision of what a session says that it computes in.

        Raises:
            BadInput: it names none.

        >>> Precision.from_compute_dtype("int8, the rest float32")
        <Precision.INT8: 'int8'>
        """
        return cls._must("type to compute in", "compute_dtype", text.partition(",")[0])

    @classmethod
    def lookup(cls, namespace: str, name: str) -> Precision | None:
        """Return the precision that a namespace calls `name`, None where it is no precision.

        For what may hold other types too: a graph's tensors are int64 or bool as well.

        Args:
            namespace: "value" (unetrt's own), "numpy", "onnx", "tensorrt", "openvino" or
                "compute_dtype".
            name: of the type there.

        >>> Precision.lookup("tensorrt", "HALF"), Precision.lookup("tensorrt", "INT64")
        (<Precision.FP16: 'fp16'>, None)
        """
        return next((own for own in cls if getattr(own, namespace) == name), None)

    @classmethod
    def _must(cls, what: str, namespace: str, name: str) -> Precision:
        found = cls.lookup(namespace, name)
        if found is None:
            known = list(dict.fromkeys(getattr(own, namespace) for own in cls))
            raise BadInput(f"There is no such {what}", got=repr(name), expected=_listed(known))
        return found


_MEASURED = {
    # The same arithmetic in another order.
    Precision.FP32: (Tolerance(max_abs_diff=1e-4, dice=1e-4), 1e-3),
    # Inputs of each product rounded to 10 bits.
    Precision.TF32: (Tolerance(max_abs_diff=0.1, dice=1e-3), 3e-2),
    # One pixel on a border may tip far; the Dice may not move.
    Precision.FP16: (Tolerance(max_abs_diff=0.1, dice=1e-3), 3e-2),
    # 8 bits where float16 has 11. Measured on the demo's network: 0.25 and 0.0017.
    Precision.BF16: (Tolerance(max_abs_diff=0.5, dice=5e-3), 1e-1),
    # A pixel may tip wholly, so that of the probabilities only NaN fails; the Dice is held to
    # MLPerf's 99 %. Measured: 0.26 and 0.0009. With the rest in float16, 0.26 and 0.0003, but
    # 0.86 and 0.0018 once ONNX Runtime's optimiser has rewritten the graph.
    Precision.INT8: (Tolerance(max_abs_diff=1.0, dice=1e-2), 5e-1),
}


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
