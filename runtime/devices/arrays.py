"""Exchange arrays and streams on the GPU with other libraries, without a copy."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.errors import BadInput, ShapeError

from .device import LEGACY_STREAM, Device

__all__ = ["DeviceArray", "DeviceView", "is_on_device", "stream_handle", "view_of"]

_DLPACK_CUDA = 2
_ALREADY_ORDERED = -1


class DeviceArray:
    """Share a contiguous array on the GPU by `__cuda_array_interface__` and DLPack.

    `cupy.asarray(y)`, `torch.as_tensor(y, device="cuda")` and `torch.from_dlpack(y)` see it without
    a copy. Its memory is used again once nothing refers to it: work on it in streams other than
    the default one and the session's own must be done by then.

    Attributes:
        shape, dtype: as NumPy's.
        address: of its first element.
        stream: the handle of the stream that may still be writing it, where the session was given
            one; None where it is written.
    """

    __slots__ = ("__weakref__", "_device", "address", "dtype", "shape", "stream")

    def __init__(
        self,
        device: Device,
        address: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        stream: int | None,
    ) -> None:
        self._device = device
        self.address = address
        self.shape = shape
        self.dtype = dtype
        self.stream = stream

    @property
    def nbytes(self) -> int:
        """Return the size in bytes."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.address, False),
            "strides": None,
            # 0 is no stream in the interface: the default one is 1 there.
            "stream": LEGACY_STREAM if self.stream == 0 else self.stream,
            "version": 3,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return _DLPACK_CUDA, 0

    def __dlpack__(self, *, stream: int | None = None, **options: Any) -> Any:
        """Hand the memory over; the consumer's `stream` waits for what still writes it."""
        core, views = vendor.cuda_core(), vendor.cuda_core_views()
        if self.stream is not None and stream != _ALREADY_ORDERED:
            with self._device.current():
                self._device.follow(LEGACY_STREAM if stream is None else stream, self.stream)
        buffer = core.Buffer.from_handle(self.address, self.nbytes, owner=self)
        view = views.StridedMemoryView.from_buffer(buffer, self.shape, dtype=self.dtype)
        return view.__dlpack__(stream=_ALREADY_ORDERED, **options)

    def numpy(self) -> NDArray[Any]:
        """Return a copy in host memory."""
        array = np.empty(self.shape, self.dtype)
        stream = LEGACY_STREAM if self.stream is None else self.stream
        with self._device.current():
            self._device.copy_out(array, self.address, stream)
            self._device.synchronize(stream)
        return array

    def __repr__(self) -> str:
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype}, address={self.address:#x})"


@dataclass(frozen=True, slots=True)
class DeviceView:
    """Describe the place of an array on the GPU.

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
    """Return True if an array lies on a GPU; reads no memory."""
    if isinstance(array, np.ndarray):
        return False
    if hasattr(array, "__cuda_array_interface__"):
        return True
    where = getattr(array, "__dlpack_device__", None)
    return where is not None and int(where()[0]) == _DLPACK_CUDA


def view_of(array: Any) -> DeviceView:
    """Return the place of an array on the GPU, without a copy.

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


def stream_handle(stream: object) -> int:
    """Return the handle of a stream: an integer, or an object with `__cuda_stream__`.

    PyCUDA's Stream has a `handle`, CuPy's a `ptr`, torch's a `cuda_stream`; these are taken too.
    The protocol: https://nvidia.github.io/cuda-python/cuda-core/latest/interoperability.html

    Raises:
        BadInput: it is none of these.
    """
    if isinstance(stream, int) and not isinstance(stream, bool) and stream >= 0:
        return stream
    protocol = getattr(stream, "__cuda_stream__", None)
    if protocol is not None:
        version, handle = protocol() if callable(protocol) else protocol
        if version == 0:
            return int(handle)
    for attribute in ("handle", "ptr", "cuda_stream"):
        handle = getattr(stream, attribute, None)
        if isinstance(handle, int):
            return handle
    raise BadInput(
        "Cannot tell the CUDA stream",
        got=repr(stream),
        expected="its handle as an integer, or an object with __cuda_stream__",
        hint="torch: stream.cuda_stream; CuPy: stream.ptr; PyCUDA: stream.handle",
    )
