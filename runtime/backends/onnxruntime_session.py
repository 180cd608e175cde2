"""Run ONNX Runtime where it was asked to run, or nowhere: what its providers share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.artifacts import OnnxModel
from unetrt.errors import ArtifactError, NoDevice
from unetrt.files import Closing
from unetrt.gpu import find_gpu

from ..session_spec import SessionSpec

__all__ = ["CPU", "CUDA", "TENSORRT", "OrtSession", "gpu_obstacle", "need_gpu_provider"]


class OrtBound(Closing):
    """Keep inputs and outputs in place; see `BoundRun`. ONNX Runtime has no events for users.

    Args:
        ort: the library.
        session: its InferenceSession.
        feeds: inputs by name; they are copied.
        outputs: names.
        device: "cpu" or "cuda".
    """

    device, stream = None, 0

    def __init__(
        self,
        ort: Any,
        session: Any,
        feeds: Mapping[str, NDArray[Any]],
        outputs: Sequence[str],
        device: str,
    ) -> None:
        self._session = session
        self._feeds = {name: np.array(array, order="C") for name, array in feeds.items()}
        self._binding = session.io_binding()
        for name, array in self._feeds.items():
            value = ort.OrtValue.ortvalue_from_numpy(array, device, 0)
            self._binding.bind_ortvalue_input(name, value)
        for name in outputs:
            self._binding.bind_output(name, device)
        session.run_with_iobinding(self._binding)  # what it then holds, the next runs write into
        self._made = self._binding.get_outputs()
        for name, value in zip(outputs, self._made, strict=True):
            self._binding.bind_ortvalue_output(name, value)

    def launch(self) -> None:
        """Run; on the CPU it is done when this returns."""
        self._session.run_with_iobinding(self._binding)

    def wait(self) -> None:
        """Return when the outputs are there."""
        self._binding.synchronize_outputs()

    def outputs(self) -> Sequence[NDArray[Any]]:
        """Return copies of the last run's outputs."""
        self.wait()
        return [np.array(value.numpy()) for value in self._made]

    def close(self) -> None:
        """Release the tensors."""
        self._binding.clear_binding_inputs()
        self._binding.clear_binding_outputs()
        self._made, self._feeds = [], {}


CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"


def gpu_obstacle(provider: str) -> str | None:
    """Return why a provider for NVIDIA GPUs is not there, or None; opens nothing."""
    if find_gpu() is None:
        return "no NVIDIA GPU with a driver"
    if not vendor.installed("onnxruntime"):
        return "ONNX Runtime is not installed"
    if provider not in vendor.onnxruntime().get_available_providers():
        return f"the installed ONNX Runtime has no {provider}"
    return None


def need_gpu_provider(provider: str) -> None:
    """Raise NoDevice where `provider` was asked for and is not there."""
    vendor.onnxruntime()  # or say which extra brings it
    missing = gpu_obstacle(provider)
    if missing is not None:
        raise NoDevice(
            f"ONNX Runtime cannot open its {provider}",
            got=missing,
            hint="run where there is a GPU, or with backend 'auto'"
            if find_gpu() is None
            else "install it with: pip uninstall onnxruntime; pip install 'unetrt[gpu]'",
        )


class OrtSession:
    """One ONNX file; several threads may run it.

    Args:
        model: the file.
        spec: its threads.
        providers: ONNX Runtime's names and options: the one asked for, and those behind it for
            what it has no kernel for.
        computes_in: what it computes the file's convolutions in.
        fast: what precision "fast" does there.
    """

    def __init__(
        self,
        model: OnnxModel,
        spec: SessionSpec,
        *,
        providers: list[tuple[str, dict[str, str]]],
        computes_in: str,
        fast: str,
    ) -> None:
        ort = vendor.onnxruntime()
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = spec.threads or 0
        provider = providers[0][0]
        # A block planned for all of a run is taken beside what the first run took piece by piece:
        # 1.8 GB where 0.9 do, for tiles of 1504 x 2528 and the demo's network.
        settings.enable_mem_pattern = provider != CPU
        try:
            self._session = ort.InferenceSession(
                str(model.path), sess_options=settings, providers=providers, enable_fallback=0
            )
        except Exception as error:  # ONNX Runtime's own errors share no base but Exception
            raise ArtifactError(f"ONNX Runtime cannot open {model.path}", got=error) from error
        if self._session.get_providers()[0] != provider:
            raise NoDevice(
                f"ONNX Runtime could not load its {provider}",
                got=", ".join(self._session.get_providers()),
                hint="see its message above: most often a CUDA, cuDNN or TensorRT library of "
                "another version; pip install 'onnxruntime-gpu[cuda,cudnn]'",
            )
        self._ort = ort
        self._inputs = [tensor.name for tensor in model.inputs]
        self._outputs = [tensor.name for tensor in model.outputs]
        self._on_cpu = provider == CPU
        self.info = {
            "backend": "onnxruntime",
            "version": ort.__version__,
            "device": provider.removesuffix("ExecutionProvider"),
            "computes_in": computes_in,
        } | ({"fast": fast} if spec.precision == "fast" else {})

    def check(self, shapes: tuple[tuple[int, ...], ...]) -> None:
        """Any shape that fits the network will do."""

    def run(self, arrays: tuple[NDArray[Any], ...]) -> tuple[NDArray[Any], ...]:
        """Run; the answers are new arrays."""
        return tuple(self._session.run(self._outputs, dict(zip(self._inputs, arrays, strict=True))))

    def bind(self, arrays: tuple[NDArray[Any], ...]) -> OrtBound:
        """Return a run on `arrays`, which were checked, where this session computes."""
        device = "cpu" if self._on_cpu else "cuda"
        feeds = dict(zip(self._inputs, arrays, strict=True))
        return OrtBound(self._ort, self._session, feeds, self._outputs, device)

    def close(self) -> None:
        """Let the session go."""
        del self._session
