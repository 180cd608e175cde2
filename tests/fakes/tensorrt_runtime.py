"""A TensorRT that computes with NumPy, on the fake device, which remembers what it did.

The library is dressed in a version's surface: a member which that version lacks is not there.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.fakes.device import FakeDevice
from tests.fakes.tensorrt_surface import dressed
from unetrt.artifacts import Engine, EngineTarget
from unetrt.gpu import Gpu
from unetrt.runtime import SessionSpec
from unetrt.runtime.backends.tensorrt import open_backend
from unetrt.tensors import TensorSpec

SURFACES = json.loads((Path(__file__).parent / "tensorrt_runtime_surfaces.json").read_text())
RTX = next(version for version in SURFACES if version.startswith("tensorrt_rtx"))
A10 = Gpu("NVIDIA A10", "8.6", "13.0")
BATCH = ("batch", "height", "width")


class Named:
    """A value of an enum."""

    def __init__(self, name):
        self.name = name


class FakeContext:
    """Answers with the sum of its inputs and whether that is over 100."""

    surface_class = "IExecutionContext"

    def __init__(self, world):
        self._world, self._addresses, self._shapes = world, {}, {}
        world.contexts += 1

    def set_input_shape(self, name, shape):
        self._shapes[name] = shape
        return True

    def get_tensor_shape(self, name):
        shape = tuple(self._shapes["image"][:4])
        return shape if name == "sum" else shape[:3]

    def set_tensor_address(self, name, address):
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream):
        """Work on what is set now, also when it is captured and launched later."""
        world, shapes, addresses = self._world, dict(self._shapes), dict(self._addresses)
        if world.fails_to_run:
            return False
        world.device.give("execute", stream, lambda: world.compute(shapes, addresses))
        return True

    def __del__(self):
        self._world.contexts -= 1


class FakeCache:
    surface_class = "IRuntimeCache"
    content = b""

    def deserialize(self, blob):
        self.content = bytes(blob)
        return self.content.startswith(b"good")

    def serialize(self):
        return b"good and more"


class FakeConfig:
    surface_class = "IRuntimeConfig"
    cuda_graph_strategy = dynamic_shapes_kernel_specialization_strategy = None

    def create_runtime_cache(self):
        return FakeCache()

    def set_runtime_cache(self, cache):
        assert isinstance(cache, FakeCache)
        return True


class FakeEngine:
    surface_class = "ICudaEngine"

    def __init__(self, world):
        self._world = world
        self.num_io_tensors = len(world.types)

    def get_tensor_name(self, index):
        return list(self._world.types)[index]

    def get_tensor_dtype(self, name):
        words = {"float32": "FLOAT", "uint8": "UINT8", "uint16": "UINT8"}
        return Named(words[self._world.types[name]])

    def create_runtime_config(self):
        return FakeConfig()

    def create_execution_context(self, config=None):
        world = self._world
        assert (config is not None) == (world.version == RTX)
        world.configs.append(config)
        return FakeContext(world) if world.contexts < world.room_for_contexts else None

    def get_tensor_profile_shape(self, name, index):
        assert index == 0
        pair = (2,) if self._world.types[name] == "uint16" else ()
        return [(*end, *pair) for end in ((1, 8, 8, 1), (1, 16, 16, 1), (4, 32, 32, 1))]


class World:
    """One library, one device, one engine file."""

    def __init__(self, folder, version):
        self.version, self.device, self.invalid, self.refuses = version, FakeDevice(), 0, False
        self.contexts, self.room_for_contexts, self.fails_to_run = 0, 99, False
        self.configs = []
        self.types = {"image": "float32", "sum": "float32"}
        self.path = folder / "m.engine"
        self.path.write_bytes(b"header" + bytes(100))
        world = self

        class FakeRuntime:
            surface_class = "Runtime"
            engine_header_size = 6
            engine_host_code_allowed = False

            def __init__(self, logger):
                pass

            def get_engine_validity(self, header):
                assert header == b"header"
                return (2 if world.invalid else 0), world.invalid

            def deserialize_cuda_engine(self, plan):
                world.host_code = self.engine_host_code_allowed
                assert plan == world.path.read_bytes()
                return None if world.refuses else FakeEngine(world)

        class FakeLogger:
            surface_class = "Logger"
            ERROR = 1

            def __init__(self, severity):
                pass

        class Validity:
            surface_class = "EngineValidity"
            INVALID = 2

        class Diagnostics:
            surface_class = "EngineInvalidityDiagnostics"
            __members__ = {"VERSION_MISMATCH": 1, "UNSUPPORTED_CC": 2}  # noqa: RUF012

        class GraphStrategy:
            surface_class = "CudaGraphStrategy"
            WHOLE_GRAPH_CAPTURE = "whole"

        class Specialization:
            surface_class = "DynamicShapesKernelSpecializationStrategy"
            EAGER = "eager"

        self.trt = dressed(
            None,
            SURFACES,
            version,
            Runtime=FakeRuntime,
            Logger=FakeLogger,
            EngineValidity=Validity,
            EngineInvalidityDiagnostics=Diagnostics,
            CudaGraphStrategy=GraphStrategy,
            DynamicShapesKernelSpecializationStrategy=Specialization,
        )

    def compute(self, shapes, addresses):
        total = 0.0
        for name, shape in shapes.items():
            dtype = np.dtype(self.types[name])
            one = 1 if dtype == np.uint16 else dtype.itemsize  # a 16-bit number is two bytes there
            raw = self.device.bytes_at(addresses[name], int(np.prod(shape)) * one)
            if dtype == np.uint16:
                low, high = np.moveaxis(raw.reshape(shape), -1, 0).astype(np.float32)
                total = total + low + 256 * high
            else:
                total = total + raw.view(dtype).reshape(shape).astype(np.float32)
        answers = {
            "sum": total.astype(np.float32),
            "labels": (total[..., 0] > 100).astype(np.uint8),
        }
        for name in addresses.keys() & answers:
            answer = np.ascontiguousarray(answers[name]).view(np.uint8).ravel()
            self.device.bytes_at(addresses[name], answer.nbytes)[:] = answer

    def engine(self, **changes):
        tensors = [TensorSpec(n, t, (*BATCH, 1)) for n, t in self.types.items() if n != "labels"]
        labels = [TensorSpec("labels", "uint8", BATCH)] if "labels" in self.types else []
        fields = {
            "path": self.path,
            "sha256": "",
            "inputs": tuple(t for t in tensors if t.name != "sum"),
            "outputs": (*(t for t in tensors if t.name == "sum"), *labels),
            "backend": "tensorrt-rtx" if self.version == RTX else "tensorrt",
            "backend_version": self.trt.__version__,
            "target": EngineTarget(gpu=A10),
        }
        return Engine(**(fields | changes))

    def open(self, *, stream=None, **changes):
        return open_backend(self.engine(**changes), SessionSpec(stream=stream))

    def forget(self):
        """Begin a new list of what the device does."""
        self.device.done.clear()

    def put(self, array):
        """Put an array on the device, as another library's; return that."""
        with self.device.current():
            address = self.device.allocate(array.nbytes)
        self.device.bytes_at(address, array.nbytes)[:] = array.view(np.uint8).ravel()
        return CudaArray(address, array)

    def get(self, array):
        """Return what a device array holds."""
        return (
            self.device.bytes_at(array.address, array.nbytes).view(array.dtype).reshape(array.shape)
        )


class CudaArray:
    """An array of another library."""

    def __init__(self, address, array, **changes):
        self.shape, self.dtype = array.shape, array.dtype
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (address, False),
            "strides": None,
            "version": 3,
            **changes,
        }
