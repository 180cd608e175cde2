"""A stream of another library, by its handle."""

from __future__ import annotations

from unetrt.errors import BadInput

__all__ = ["stream_handle"]


def stream_handle(stream: object) -> int:
    """Return the handle of a stream: an integer, or an object with `__cuda_stream__`.

    PyCUDA's Stream has a `handle`, CuPy's a `ptr`, torch's a `cuda_stream`; so do they come in too.
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
