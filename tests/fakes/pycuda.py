"""A PyCUDA and a driver that record their calls and can fail."""

from __future__ import annotations

from functools import partial
from itertools import count

import numpy as np


class FakePyCuda:
    """pycuda.driver: its stack of contexts is each thread's own, and must be empty at the end."""

    class Error(Exception):
        pass

    class MemoryError(Error):  # noqa: A001
        pass

    def __init__(self, *, autoinit=False):
        self.calls, self.full = [], False
        self.handles = count(500)
        self.Context = _context_class(self, autoinit=autoinit)
        self.Device, self.Stream = partial(Device, self), partial(Stream, self)

    def needs_context(self, what):
        assert self.Context.stack, f"{what}: no currently active context?"
        self.calls.append(what)

    def init(self):
        self.calls.append("init")

    def mem_get_info(self):
        self.needs_context("mem_get_info")
        return 300, 1000

    def mem_alloc(self, nbytes):
        self.needs_context(f"mem_alloc({nbytes})")
        if self.full:
            raise self.MemoryError("cuMemAlloc failed: out of memory")
        return Allocation(self, next(self.handles))

    def pagelocked_empty(self, shape, dtype):
        self.needs_context(f"pagelocked_empty({shape})")
        if self.full:
            raise self.MemoryError("cuMemHostAlloc failed: out of memory")
        return np.empty(shape, dtype).view(Pinned).owned(Allocation(self, 0))


class Allocation:
    def __init__(self, world, address):
        self.world, self.address = world, address

    def __int__(self):
        return self.address

    def free(self):
        self.world.needs_context("free")


class Pinned(np.ndarray):
    """An array whose base is its allocation, as PyCUDA's are."""

    def owned(self, allocation):
        self.allocation = allocation
        return self

    @property
    def base(self):
        return self.allocation


class FakeLibcuda:
    """libcuda.so.1, called with ctypes' own values."""

    def __init__(self):
        self.calls, self.fails, self.handles = [], {}, count(900)
        self.pointer = (2, 0)

    def __getattr__(self, name):
        if not name.startswith("cu"):
            raise AttributeError(name)

        def call(*arguments):
            plain = [getattr(argument, "value", argument) for argument in arguments]
            self.calls.append((name, *[value for value in plain if isinstance(value, int)]))
            if name in self.fails:
                return self.fails[name]
            out = [argument._obj for argument in arguments if hasattr(argument, "_obj")]
            if name == "cuGetErrorName":
                out[0].value = b"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"
            elif name == "cuEventElapsedTime":
                out[0].value = 1.5
            elif name == "cuPointerGetAttribute":
                out[0].value = self.pointer[0 if plain[1] == 2 else 1]
            elif out:
                out[0].value = next(self.handles)
            return 0

        return call


def _context_class(world, *, autoinit):
    class Context:
        stack = ["made by the caller"] if autoinit else []

        def push(self):
            Context.stack.append(self)

        @staticmethod
        def pop():
            Context.stack.pop()

        @staticmethod
        def get_current():
            return Context.stack[-1] if Context.stack else None

        @staticmethod
        def get_device():
            world.needs_context("get_device")
            return world.Device(0)

    return Context


class Device:
    def __init__(self, world, ordinal):
        self.world, self.ordinal = world, ordinal

    def __eq__(self, other):
        return self.ordinal == other.ordinal

    __hash__ = None

    def name(self):
        return "NVIDIA A10"

    def retain_primary_context(self):
        self.world.calls.append("retain_primary_context")
        return self.world.Context()


class Stream:
    def __init__(self, world, flags):
        self.world = world
        world.needs_context(f"Stream({flags})")
        self.handle = next(world.handles)

    def __del__(self):
        self.world.needs_context("~Stream")
