"""A TensorRT that computes with NumPy, on a device that remembers what it did.

The library is dressed in a version's surface: a member which that version lacks is not there.
"""

import json
from pathlib import Path

import numpy as np

from tests.tensorrt_surface import dressed
from unetrt.artifacts import Engine
from unetrt.gpu import Gpu
from unetrt.runtime.backends.tensorrt import open_backend
from unetrt.tensors import TensorSpec

SURFACES = json.loads((Path(__file__).parent / "tensorrt_surfaces.json").read_text())
RTX = next(version for version in SURFACES if version.startswith("tensorrt_rtx"))
A10 = Gpu("NVIDIA A10", "8.6", "13.0")
BATCH = ("batch", "height", "width")


class FakeDevice:
    """Device memory is a dict of NumPy arrays by address; the stream is a list of what it did."""

    name, stream = "fake", 7

    def __init__(self):
        self.memory, self.done, self.closed = {}, [], False

    def allocate(self, nbytes):
        address = 1000 + len(self.done)
        self.memory[address] = np.zeros(nbytes, np.uint8)
        self.done.append("allocate")
        return address

    def free(self, address):
        del self.memory[address]

    def copy_in(self, address, array):
        self.memory[address][:] = array.view(np.uint8).ravel()
        self.done.append("in")

    def copy_out(self, array, address):
        array.view(np.uint8).reshape(-1)[:] = self.memory[address]
        self.done.append("out")

    def synchronize(self):
        self.done.append("synchronize")

    def close(self):
        self.closed = True


class Named:
    """A value of an enum."""

    def __init__(self, name):
        self.name = name


class FakeContext:
    """Answers with the sum of its inputs and whether that is over 100."""

    surface_class = "IExecutionContext"

    def __init__(self, world):
        self._world, self._addresses, self._shapes = world, {}, {}

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
        assert stream == self._world.device.stream
        memory = self._world.device.memory
        total = 0.0
        for name, shape in self._shapes.items():
            dtype = np.dtype(self._world.types[name])
            raw = memory[self._addresses[name]]
            if dtype == np.uint16:
                low, high = np.moveaxis(raw.reshape(shape), -1, 0).astype(np.float32)
                total = total + low + 256 * high
            else:
                total = total + raw.view(dtype).reshape(shape).astype(np.float32)
        answers = {
            "sum": total.astype(np.float32),
            "labels": (total[..., 0] > 100).astype(np.uint8),
        }
        for name, address in self._addresses.items():
            if name in answers:
                memory[address][:] = np.ascontiguousarray(answers[name]).view(np.uint8).ravel()
        self._world.device.done.append("execute")
        return True


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
        assert (config is not None) == (self._world.version == RTX)
        return FakeContext(self._world)

    def get_tensor_profile_shape(self, name, index):
        assert index == 0
        pair = (2,) if self._world.types[name] == "uint16" else ()
        return [(*end, *pair) for end in ((1, 8, 8, 1), (1, 16, 16, 1), (4, 32, 32, 1))]


class World:
    """One library, one device, one engine file."""

    def __init__(self, folder, version):
        self.version, self.device, self.invalid, self.refuses = version, FakeDevice(), 0, False
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

        self.trt = dressed(
            None,
            SURFACES,
            version,
            Runtime=FakeRuntime,
            Logger=FakeLogger,
            EngineValidity=Validity,
            EngineInvalidityDiagnostics=Diagnostics,
        )

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
            "made_with": {"spec": {}, "gpu": A10.to_json()},
        }
        return Engine(**(fields | changes))

    def open(self, **changes):
        return open_backend(self.engine(**changes), None)
