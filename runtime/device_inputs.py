"""Inputs that lie on the GPU: what takes them, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from unetrt.errors import BadInput

from .backends import Backend, DeviceBackend
from .devices import DeviceArray, DeviceView, view_of
from .session_spec import SessionSpec

__all__ = ["OnDevice", "device_run", "device_views", "on_host"]


class OnDevice(Protocol):
    """An array on the GPU, of any library that has the CUDA array interface."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...


def on_host(arrays: tuple[Any, ...]) -> bool:
    """Whether all are NumPy's."""
    return all(isinstance(array, np.ndarray) for array in arrays)


def device_views(arrays: tuple[Any, ...]) -> tuple[DeviceView, ...]:
    """Return where arrays lie, not all of which are NumPy's.

    Raises:
        BadInput: one lies on no GPU.
        ShapeError: one is not contiguous.
    """
    if any(isinstance(array, np.ndarray) for array in arrays):
        raise BadInput(
            "Cannot take some inputs from the host and some from a GPU",
            got=" and ".join(sorted({type(array).__name__ for array in arrays})),
            expected="all of one kind",
        )
    return tuple(map(view_of, arrays))


def device_run(
    backend: Backend, spec: SessionSpec
) -> Callable[[tuple[Any, ...]], tuple[DeviceArray, ...]]:
    """Return what runs arrays that lie on the GPU.

    Raises:
        BadInput: the backend does not, or the spec wants numbers checked that the host cannot see.
    """
    if spec.check_finite:
        raise BadInput(
            "Cannot see whether the numbers of an array on a GPU are finite",
            hint="open the session without check_finite, or copy the array to the host first",
        )
    if not isinstance(backend, DeviceBackend):
        raise BadInput(
            f"A session on {backend.info['backend']} takes no array on a GPU",
            expected="NumPy arrays",
            hint="copy it to the host first (torch: x.cpu().numpy(), CuPy and PyCUDA: x.get()), "
            "or open an engine",
        )
    takes: DeviceBackend = backend
    return lambda arrays: takes.run_on_device(device_views(arrays))
