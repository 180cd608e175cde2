"""Another library's array on the GPU, seen without a copy.

The CUDA array interface, https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html
(PyCUDA, CuPy, torch and this runtime's own results have it), and DLPack.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from unetrt import vendor
from unetrt.errors import BadInput, ShapeError

from .device import LEGACY_STREAM

__all__ = ["DeviceView", "is_on_device", "view_of"]

_DLPACK_CUDA = 2


@dataclass(frozen=True, slots=True)
class DeviceView:
    """Where an array lies on the GPU.

    Attributes:
        address: of its first element.
        shape: of the array, contiguous in C order.
        dtype: NumPy's type of its elements.
        stream: the handle of the stream that may still be writing it; None where its library names
            none, and works in the default one.
        owner: keeps the memory alive.
    """

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    stream: int | None
    owner: Any


def is_on_device(array: Any) -> bool:
    """Whether an array lies on a GPU; looks at no memory."""
    if isinstance(array, np.ndarray):
        return False
    if hasattr(array, "__cuda_array_interface__"):
        return True
    where = getattr(array, "__dlpack_device__", None)
    return where is not None and int(where()[0]) == _DLPACK_CUDA


def view_of(array: Any) -> DeviceView:
    """Return where an array lies.

    Raises:
        BadInput: it does not lie on a GPU, or has a mask.
        ShapeError: it is not contiguous.
        MissingDependency: it has DLPack only, and cuda.core is not installed.
    """
    interface = getattr(array, "__cuda_array_interface__", None)
    if interface is not None:
        return _from_interface(array, interface)
    if is_on_device(array):
        return _from_dlpack(array)
    raise BadInput(
        "Cannot take this input",
        got=f"a {type(array).__name__}",
        expected="a NumPy array, or one on the GPU with __cuda_array_interface__ or __dlpack__",
    )


def _from_interface(array: Any, interface: dict[str, Any]) -> DeviceView:
    if interface.get("mask") is not None:
        raise BadInput("Cannot take an array with a mask", got=type(array).__name__)
    shape = tuple(interface["shape"])
    dtype = np.dtype(interface["typestr"])
    _must_be_contiguous(array, shape, interface.get("strides"), dtype.itemsize)
    return DeviceView(int(interface["data"][0]), shape, dtype, interface.get("stream"), array)


def _from_dlpack(array: Any) -> DeviceView:
    # The producer lets the default stream wait for its writes.
    view = vendor.cuda_core_views().StridedMemoryView.from_dlpack(array, LEGACY_STREAM)
    if view.dtype is None:
        raise BadInput("NumPy has no such type", got=type(array).__name__)
    dtype, shape = np.dtype(view.dtype), tuple(view.shape)
    strides = view.strides and tuple(step * dtype.itemsize for step in view.strides)
    _must_be_contiguous(array, shape, strides, dtype.itemsize)
    return DeviceView(int(view.ptr), shape, dtype, LEGACY_STREAM, view)


def _must_be_contiguous(
    array: Any, shape: tuple[int, ...], strides: tuple[int, ...] | None, itemsize: int
) -> None:
    if strides is None:
        return
    step = itemsize
    wanted: list[int] = []
    for size in reversed(shape):
        wanted.insert(0, step)
        step *= size
    # The step along an axis of one element means nothing.
    fits = all(
        size == 1 or own == right for size, own, right in zip(shape, strides, wanted, strict=True)
    )
    if not fits:
        raise ShapeError(
            f"A {type(array).__name__} on the GPU is not contiguous",
            got=f"strides {tuple(strides)}",
            expected=tuple(wanted),
            hint="make it so first: contiguous() in torch, ascontiguousarray in CuPy, copy() in "
            "PyCUDA",
        )
