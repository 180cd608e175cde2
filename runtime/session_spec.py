"""Say how a session opens an artifact."""

from __future__ import annotations

from dataclasses import dataclass

from unetrt.errors import BadInput

from .devices import LAYERS

__all__ = ["SessionSpec"]

_CHOICES = {"precision": ("own", "fast"), "tiling": ("exact", "blended"), "device": LAYERS}


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSpec:
    """Choose how `open_session` opens an artifact.

    Attributes:
        backend: "auto" (the fastest that can run the artifact here), or by name: for ONNX files
            "onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt" or "openvino"; an engine runs
            on its own library, "tensorrt".
        precision: "own", in which the artifact is; or "fast", in less where this machine gains by
            it: OpenVINO then takes bfloat16 where the CPU has it. `Session.info` says what is
            really computed in.
        threads: of a CPU backend; None leaves the choice to it.
        memory_bytes: what the network may work in at once, by its graph; an image that
            takes more is cut into tiles.
        tiling: "exact" tiles give the output of the whole image; "blended" ones overlap by half
            and are averaged, which takes any network and any memory and is not exact.
        tta: test-time augmentation: an image is segmented by the mean of the predictions of its
            mirrors and, where the network takes images on their side, its quarter turns: four or
            eight times the work.
        warmup: heights and widths that opening runs once at, so that the first image need not
            wait. None: the size that the artifact fixes, or that an engine was tuned for, if there
            is one.
        self_test: let opening compare the network with its golden sample.
        check_finite: let each run refuse NaN and infinite inputs; of host arrays, no others are
            taken then.
        device: what an engine reaches the GPU through: "cuda-python", "pycuda", or "auto" for
            cuda-python, or PyCUDA where only that is installed.
        stream: the CUDA stream that an engine runs in: a handle, or an object with
            `__cuda_stream__`; it must outlive the session. None: streams of the session's own.
    """

    backend: str = "auto"
    precision: str = "own"
    threads: int | None = None
    memory_bytes: int = 2 << 30
    tiling: str = "exact"
    tta: bool = False
    warmup: tuple[tuple[int, int], ...] | None = None
    self_test: bool = False
    check_finite: bool = False
    device: str = "auto"
    stream: object = None

    def __post_init__(self) -> None:
        if self.memory_bytes < 1 or (self.threads is not None and self.threads < 1):
            raise BadInput(
                "Cannot open a session",
                got=f"threads {self.threads} and memory_bytes {self.memory_bytes}",
                expected="positive numbers",
            )
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise BadInput(
                    f"Cannot open a session with this {name}",
                    got=repr(getattr(self, name)),
                    expected=" or ".join(choices),
                )
