"""A result that stays on the GPU."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor

from .device import LEGACY_STREAM, Device

__all__ = ["DeviceArray"]

_DLPACK_CUDA = 2
_ALREADY_ORDERED = -1


class DeviceArray:
    """A contiguous array on the GPU, for libraries that know `__cuda_array_interface__` or DLPack.

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
        """Its size in bytes."""
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
