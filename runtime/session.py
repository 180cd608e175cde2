"""Open artifacts, run them on tensors, segment images of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from unetrt.artifacts import Engine, KerasFile, OnnxModel
from unetrt.errors import ArtifactError, BadInput, ShapeError
from unetrt.files import Closing
from unetrt.normalization import PixelScale, in_words
from unetrt.parity import SelfTest, run_self_test
from unetrt.tensors import TensorSpec

from .backends import Backend, DeviceBackend, open_backend
from .backends.backend import BoundRun
from .devices import DeviceArray, DeviceView, view_of
from .image_io import ImageSource
from .segmenter import Segmenter, joined
from .session_spec import SessionSpec

__all__ = ["Session", "device_run", "device_views", "on_host", "open_session", "warmup_inputs"]


def check_finite(tensors: Sequence[TensorSpec], arrays: Sequence[NDArray[Any]]) -> None:
    """Raise BadInput where an input holds NaN or infinity; names the tensor and the first place."""
    for tensor, array in zip(tensors, arrays, strict=True):
        if array.dtype.kind != "f" or np.isfinite(array).all():
            continue
        wrong = np.argwhere(~np.isfinite(array))
        place = tuple(map(int, wrong[0]))
        raise BadInput(
            f"The input {tensor.name!r} holds numbers that are not finite",
            got=f"{array[place]} at {list(place)}, and {len(wrong) - 1} more",
            expected="finite numbers",
        )


def warmup_inputs(
    artifact: OnnxModel | Engine, sizes: Sequence[tuple[int, int]] | None
) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield zeros of the shapes to run once at: of `sizes`, heights and widths.

    Without them, of the shapes that an engine was tuned for, or those that the artifact fixes; of
    none where it leaves a side free.
    """
    for size in [None] if sizes is None else sizes:
        shapes = [_warmup_shape(artifact, tensor, size) for tensor in artifact.inputs]
        known = [shape for shape in shapes if shape is not None]
        if len(known) == len(shapes):
            yield {
                t.name: np.zeros(shape, t.dtype)
                for t, shape in zip(artifact.inputs, known, strict=True)
            }


def _warmup_shape(
    artifact: OnnxModel | Engine, tensor: TensorSpec, size: tuple[int, int] | None
) -> tuple[int, ...] | None:
    if size is not None:
        return tensor.with_sides(*size).fixed_shape()
    profile = artifact.profile_of(tensor)
    return tensor.fixed_shape() if profile is None else profile.opt


class OnDevice(Protocol):
    """Accept arrays on the GPU of any library that has the CUDA array interface."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...


def on_host(arrays: tuple[Any, ...]) -> bool:
    """Return True if all are NumPy's."""
    return all(isinstance(array, np.ndarray) for array in arrays)


def device_views(arrays: tuple[Any, ...]) -> tuple[DeviceView, ...]:
    """Return the places of arrays on the GPU.

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
    """Return a function that runs arrays on the GPU.

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


def open_session(
    artifact: OnnxModel | Engine | str | Path, spec: SessionSpec | None = None
) -> Session:
    """Open an artifact, its file checked against its sidecar, and run it once to warm up.

    Raises:
        ArtifactError: missing, altered, or made by another version of its library.
        MissingDependency: its library is not installed.
        NoDevice: an engine, and no GPU that can run it.
        CheckFailed: the spec wants a self-test, and it failed.
        ShapeError: the spec wants test-time augmentation, and the network gives labels only.

    >>> with open_session("model.onnx") as session:
    ...     labels = session.segment(np.zeros((48, 56, 1), np.uint8))
    >>> labels.shape, labels.dtype
    ((48, 56), dtype('uint8'))
    """
    spec = spec or SessionSpec()
    loaded = load_artifact(Path(artifact)) if isinstance(artifact, (str, Path)) else artifact
    backend, why = open_backend(loaded, spec)
    session = Session(loaded, backend, spec, why=why)
    try:
        if spec.tta:
            session.segmenter()
        for inputs in warmup_inputs(loaded, spec.warmup):
            session.run(inputs)
        if spec.self_test:
            session.self_test()
    except BaseException:
        session.close()
        raise
    return session


def load_artifact(path: Path) -> OnnxModel | Engine:
    """Load an ONNX file or an engine by its suffix."""
    if path.suffix == ".onnx":
        return OnnxModel.load(path)
    if path.suffix == ".engine":
        return Engine.load(path)
    keras = path.suffix in KerasFile.SUFFIXES
    raise ArtifactError(
        f"Cannot open {path}",
        got="a Keras model" if keras else None,
        expected="a name ending in .onnx or .engine",
        hint="convert it to ONNX first" if keras else None,
    )


class Session(Closing):
    """Run an opened artifact; a context manager, made by `open_session`.

    `run` is the hot path: one comparison of shapes and types, then the backend. Several threads
    may call it.
    """

    def __init__(
        self, artifact: OnnxModel | Engine, backend: Backend, spec: SessionSpec, *, why: str = ""
    ) -> None:
        self.artifact = artifact
        self.spec = spec
        self._why = why
        self._backend = backend
        # What was checked last, and what runs it; one tuple, since threads read and replace it.
        self._ready: tuple[list[Any] | None, Callable[..., tuple[Any, ...]]] = None, self._host
        self._segmenters: dict[str, Segmenter] = {}
        self._closed = False

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Return the tensors that `run` takes."""
        return self.artifact.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Return the tensors that `run` gives."""
        return self.artifact.outputs

    @property
    def info(self) -> dict[str, Any]:
        """Describe what runs the artifact.

        Its keys: "backend", "version", "device", "why" this backend was chosen, the "precision"
        of the artifact's graph, the types that it really "computes_in", the "normalization" of an
        image's pixels, and, where the spec asks for them, what "fast" gained and what "tta" is.
        """
        fast = {"fast": "nothing gained: an engine computes in the types it was built with"}
        return {
            **(fast if self.spec.precision == "fast" else {}),
            "computes_in": self.artifact.compute_precision.compute_dtype,
            **self._backend.info,
            "precision": self.artifact.precision,
            "normalization": in_words(self.artifact.normalization),
            **({"tta": f"mean over {self.segmenter().views} views"} if self.spec.tta else {}),
            "why": self._why,
        }

    @overload
    def run(self, inputs: NDArray[Any]) -> NDArray[Any]: ...
    @overload
    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]: ...
    @overload
    def run(self, inputs: Mapping[str, OnDevice]) -> dict[str, DeviceArray]: ...
    @overload
    def run(self, inputs: OnDevice) -> DeviceArray: ...

    def run(self, inputs: Any) -> Any:
        """Run the network on tensors of the shapes and types that `inputs` of the session say.

        An array goes in and an array comes out of a network of one input and one output; a
        mapping by name goes into any, and a dict comes out.

        An engine takes arrays that lie on its GPU (PyCUDA, CuPy, torch, any with
        `__cuda_array_interface__` or `__dlpack__`) as they lie, contiguous, and returns
        `DeviceArray`s that stay there.

        Raises:
            ShapeError: a tensor of another type or shape, or sides the network cannot halve.
            BadInput: the session is closed, an array where there are several tensors, or on a GPU
                that the session does not run on; or, if the spec checks it, a number that is not
                finite.
            OutOfMemory: the GPU has no room for this size; smaller ones still run.

        >>> with open_session("model.onnx") as session:
        ...     session.run(np.zeros((2, 48, 64, 1), np.float32)).shape
        (2, 48, 64, 2)
        """
        if isinstance(inputs, Mapping):
            arrays = self._by_name(inputs)
            made = self._run(arrays)
            return {tensor.name: y for tensor, y in zip(self.outputs, made, strict=True)}
        if len(self.inputs) != 1 or len(self.outputs) != 1:
            raise BadInput(
                f"{self.artifact.path} does not map one tensor to one",
                got="one array",
                expected=f"inputs by name: {', '.join(t.name for t in self.inputs)}",
            )
        return self._run((inputs,))[0]

    def segment(self, image: ImageSource, *, scale: PixelScale | None = None) -> NDArray[np.uint8]:
        """Map one image [height, width, channels] of any number type to its classes.

        Its pixels are normalised where the network wants that, before anything else. The image is
        mirrored out to what the network can halve, and its labels cut back. One that takes more
        than the spec's memory, or than the engine was built for, is cut into tiles.

        Args:
            image: its pixels as they are stored.
            scale: of a slice of a volume or a page of a stack, what `pixel_scale` found for all of
                them; None: the image is a file of its own.

        Raises:
            ShapeError: not an image, or of other channels than the network's.
            BadInput: no exact tiles fit the memory or the engine; or a scale for a network that
                takes pixels as they are stored.
            DataError: pixels to normalise that are not finite numbers.
        """
        rows = self.segmenter("labels").labels(image, scale=scale)
        return joined(rows, image.shape[0])

    def probabilities(
        self, image: ImageSource, *, scale: PixelScale | None = None
    ) -> NDArray[np.float32]:
        """Map one image as `segment` does, to float32 [height, width, classes], from 0 to 1.

        Raises:
            ShapeError: as `segment`; or the network gives labels only.
            BadInput, DataError: as `segment`.
        """
        rows = self.segmenter("probabilities").probabilities(image, scale=scale)
        return joined(rows, image.shape[0])

    def pixel_scale(self, pages: Sequence[ImageSource]) -> PixelScale | None:
        """Measure the slices of a volume or the pages of a stack, which share their statistics.

        Args:
            pages: all of one file, [height, width, channels] each.

        Returns:
            For `segment` and `probabilities` of each; None where the network takes pixels as they
            are stored.

        Raises:
            DataError: pixels that are not finite numbers.
            BadInput: no page, or pages that differ in channels.

        >>> volume = [np.zeros((48, 56, 1), np.uint8), np.ones((48, 56, 1), np.uint8)]
        >>> with open_session("model.onnx") as session:
        ...     scale = session.pixel_scale(volume)
        ...     labels = [session.segment(page, scale=scale) for page in volume]
        >>> len(labels), scale
        (2, None)
        """
        normalization = self.artifact.normalization
        return None if normalization is None else normalization.measure(pages)

    def segmenter(self, prefer: str = "labels") -> Segmenter:
        """Return the segmenter of this session, for images too large to hold.

        `prefer` chooses where the network gives both: "labels" or "probabilities".
        """
        if prefer not in self._segmenters:
            self._segmenters[prefer] = Segmenter(
                self.artifact,
                self.run,
                prefer=prefer,
                memory_bytes=self.spec.memory_bytes,
                blended=self.spec.tiling == "blended",
                tta=self.spec.tta,
            )
        return self._segmenters[prefer]

    def self_test(self) -> SelfTest:
        """Compare the network with the golden sample: what the Keras model itself predicted.

        Raises:
            CheckFailed: they differ by more than the artifact's precision allows.
            BadInput: the artifact carries no golden sample.
            ShapeError: an engine that was not built for its size.
        """
        return run_self_test(self.artifact, self.run, self.info["computes_in"])

    def bind(self, inputs: NDArray[Any] | Mapping[str, NDArray[Any]]) -> BoundRun:
        """Put host arrays in place where the network computes, to run on them many times.

        Close it before the session, or use it in a `with` block.

        Raises:
            ShapeError, BadInput: as `run`.
        """
        given = inputs if isinstance(inputs, Mapping) else {self.inputs[0].name: inputs}
        arrays = self._by_name(given)
        if not on_host(arrays):
            raise BadInput("Cannot bind these inputs", expected="NumPy arrays")
        self._check(arrays, [])
        return self._backend.bind(tuple(map(np.ascontiguousarray, arrays)))

    def close(self) -> None:
        """Free what the backend holds; a closed session cannot run."""
        if not self._closed:
            self._closed = True
            self._ready = None, self._host
            self._backend.close()

    def _by_name(self, inputs: Mapping[str, Any]) -> tuple[Any, ...]:
        names = [tensor.name for tensor in self.inputs]
        if set(inputs) != set(names):
            raise BadInput(
                f"{self.artifact.path} takes other inputs",
                got=", ".join(sorted(inputs)) or "none",
                expected=", ".join(names),
            )
        return tuple(inputs[name] for name in names)

    def _run(self, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
        kinds = [(type(x), getattr(x, "shape", 0), getattr(x, "dtype", 0)) for x in arrays]
        checked, run = self._ready
        if kinds != checked:
            run = self._check(arrays, kinds)
        return run(arrays)

    def _host(self, arrays: tuple[NDArray[Any], ...]) -> tuple[NDArray[Any], ...]:
        if self.spec.check_finite:
            check_finite(self.inputs, arrays)
        return self._backend.run(tuple(map(np.ascontiguousarray, arrays)))

    def _check(self, arrays: tuple[Any, ...], kinds: list[Any]) -> Callable[..., tuple[Any, ...]]:
        """Return the function that runs such arrays, and keep it for the next ones like them."""
        if self._closed:
            raise BadInput("The session is closed", hint="open it again with open_session")
        run: Callable[..., tuple[Any, ...]] = self._host
        views = arrays
        if not on_host(arrays):
            views, run = device_views(arrays), device_run(self._backend, self.spec)
        for tensor, array in zip(self.inputs, views, strict=True):
            # Swapped bytes have the same name.
            tensor.check(array.shape, array.dtype.name if array.dtype.isnative else array.dtype.str)
            if tensor.is_image:
                self._check_sides(tensor.sides(array.shape))
        self._ready = None, run  # until the backend has said yes, and allocated
        self._backend.check(tuple(array.shape for array in views))
        self._ready = kinds, run
        return run

    def _check_sides(self, sides: tuple[int, int]) -> None:
        rule = self.artifact.sizes
        if not all(map(rule.fits, sides)):
            raise ShapeError(
                f"The network of {self.artifact.path} cannot halve this image",
                got=" x ".join(map(str, sides)),
                expected=f"sides that are each {rule}",
                hint="Session.segment mirrors an image out to such a size",
            )
