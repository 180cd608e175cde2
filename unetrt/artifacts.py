"""Describe artifacts, files with a JSON sidecar: Keras models, ONNX models and engines.

`name.onnx` lies beside `name.onnx.json`. The sidecar holds the file's sha256, what goes in and
comes out, what a user needs to use it, and what it was made from, so that any stage can start
from a stored file, without the library that made it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from unetrt.errors import ArtifactError, BadInput
from unetrt.files import replacing, sha256_of
from unetrt.gpu import Gpu
from unetrt.precision import Precision
from unetrt.receipt import Receipt
from unetrt.sizes import ReceptiveField, SizeRule
from unetrt.tensors import ShapeProfile, TensorSpec

if TYPE_CHECKING:
    from unetrt.golden import GoldenSample
    from unetrt.normalization import Normalization

__all__ = [
    "Artifact",
    "Engine",
    "EngineTarget",
    "KerasFile",
    "OnnxModel",
    "sidecar_of",
]


def sidecar_of(path: Path) -> Path:
    """Return the name of the JSON file beside an artifact.

    >>> sidecar_of(Path("out/model.onnx")).name
    'model.onnx.json'
    """
    return path.with_name(path.name + ".json")


@dataclass(frozen=True)
class Artifact:
    """Hold a file, its checksum, and what its sidecar says.

    Attributes:
        path: the file.
        sha256: of the file.
        classes: names of the output's classes, the background first; empty if unknown.
        sizes: the heights and widths that the network takes.
        source: {"file", "sha256"} of the artifact that it was made from, or of the data for a
            Keras model.
        normalization: how the pixels of a file are brought to the network's scale before they go
            in; None where it takes them as they are stored.
        made_with: versions and choices it was made with, for people: no stage reads them.
    """

    kind: ClassVar[str]
    format: ClassVar[int]
    """Version of the sidecar; a reader refuses one it does not know."""

    path: Path
    sha256: str
    classes: tuple[str, ...] = ()
    sizes: SizeRule = field(default_factory=SizeRule)
    source: dict[str, Any] = field(default_factory=dict)
    normalization: Normalization | None = None
    made_with: dict[str, Any] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Path, ...]:
        """Return the paths of the file and its sidecar."""
        return self.path, sidecar_of(self.path)

    @property
    def as_source(self) -> dict[str, str]:
        """Return the `source` of what is made from it."""
        return {"file": self.path.name, "sha256": self.sha256}

    @classmethod
    def write(cls, path: Path, content: Callable[[Path], object], **fields: Any) -> Self:
        """Write a file by `content`, then put it and its sidecar in place.

        The two renames follow each other at once: an interrupted process leaves the old pair, the
        new pair, or, killed between them, a pair that `load` refuses. `fields` are its own.

        Raises:
            OutputError: either cannot be written.
        """
        with replacing(path) as temporary:
            content(temporary)
            artifact = cls(path=path, sha256=sha256_of(temporary), **fields)
            text = {"format": cls.format, "kind": cls.kind, **artifact._to_json()}
            with replacing(sidecar_of(path)) as sidecar:
                sidecar.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")
        return artifact

    @classmethod
    def of(cls, artifact: Self | str | Path) -> Self:
        """Return the artifact, loaded where it is a path.

        Raises:
            ArtifactError: as `load`.
        """
        return cls.load(Path(artifact)) if isinstance(artifact, (str, Path)) else artifact

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the sidecar of `path` and check the file against it.

        Raises:
            ArtifactError: either is missing, the sidecar is of another kind or format, or the
                file is not the one it describes.
        """
        _must_exist(path)
        sidecar = sidecar_of(path)
        try:
            fields = json.loads(sidecar.read_text(encoding="utf-8"))
            kind, version = fields["kind"], fields["format"]
            known = (kind, version) == (cls.kind, cls.format)
            artifact = cls(path=path, **cls._from_json(fields)) if known else None
        except FileNotFoundError as error:
            raise ArtifactError(
                f"{path} has no sidecar",
                expected=f"{sidecar.name} beside it",
                hint="move both files together, or make them again",
            ) from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError, BadInput) as error:
            raise ArtifactError(
                f"Cannot read {sidecar}", got=repr(error), expected="what unetrt wrote"
            ) from error
        if artifact is None:
            raise ArtifactError(
                f"{sidecar} describes something else",
                got=f"kind {kind!r}, format {version}",
                expected=f"kind {cls.kind!r}, format {cls.format}",
                hint="another version of unetrt wrote it: make the file again with this one, or "
                "use it with that one"
                if kind == cls.kind
                else None,
            )
        if _sha256(path) != artifact.sha256:
            raise ArtifactError(
                f"{path} is not the file its sidecar describes",
                got="another sha256",
                expected=f"{artifact.sha256[:12]}...",
                hint="it was cut short or changed; make it again",
            )
        return artifact

    def _to_json(self) -> dict[str, Any]:
        return {
            "sha256": self.sha256,
            "classes": list(self.classes),
            "sizes": asdict(self.sizes),
            "source": self.source,
            "normalization": None if self.normalization is None else self.normalization.to_json(),
            "made_with": self.made_with,
        }

    @classmethod
    def _from_json(cls, fields: dict[str, Any]) -> dict[str, Any]:
        return {
            "sha256": str(fields["sha256"]),
            "classes": tuple(fields["classes"]),
            "sizes": SizeRule(**fields["sizes"]),
            "source": dict(fields["source"]),
            "normalization": _normalization(fields["normalization"]),
            "made_with": dict(fields["made_with"]),
        }


@dataclass(frozen=True)
class KerasFile(Artifact):
    """Describe a trained model.keras; a file without a sidecar is taken as it is.

    >>> _ = Path("theirs.keras").write_bytes(b"a model from elsewhere")
    >>> KerasFile.load(Path("theirs.keras")).classes
    ()
    """

    kind, format = "keras", 6
    SUFFIXES: ClassVar = (".keras", ".h5")
    """Endings of the names of Keras files."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the sidecar as `Artifact.load`; a model from elsewhere needs none."""
        _must_exist(path)
        return super().load(path) if sidecar_of(path).exists() else cls(path, _sha256(path))


@dataclass(frozen=True)
class _Network(Artifact):
    """Describe an artifact that runs.

    Attributes:
        inputs: tensors that go in.
        outputs: tensors that come out: float32 probabilities, or uint8 labels without a channel
            axis.
        precision: of its convolutions.
        receptive_field: of a pixel of the output.
        bytes_per_pixel: of the image, that the network works in; 0 if unknown.
        golden: small images and what Keras predicts for them; None where there is none.
    """

    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    precision: Precision = Precision.FP32
    receptive_field: ReceptiveField = field(default_factory=ReceptiveField.unknown)
    bytes_per_pixel: float = 0.0
    golden: GoldenSample | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "precision", Precision.of(self.precision))

    @property
    def layout(self) -> str:
        """Return "NHWC" or "NCHW": that of its images; "" where it has none."""
        return next((t.layout for t in (*self.inputs, *self.outputs) if t.is_image), "")

    @property
    def compute_precision(self) -> Precision:
        """Return what its convolutions multiply in, as the file has them."""
        return self.precision

    def profile_of(self, _tensor: TensorSpec) -> ShapeProfile | None:
        """Return the shapes of an input that it was built for; None where any that fit will do."""
        return None

    def _to_json(self) -> dict[str, Any]:
        return {
            **super()._to_json(),
            "inputs": [tensor.to_json() for tensor in self.inputs],
            "outputs": [tensor.to_json() for tensor in self.outputs],
            "precision": self.precision,
            "receptive_field": self.receptive_field.to_json(),
            "bytes_per_pixel": self.bytes_per_pixel,
            "golden": None if self.golden is None else self.golden.to_json(),
        }

    @classmethod
    def _from_json(cls, fields: dict[str, Any]) -> dict[str, Any]:
        return {
            **super()._from_json(fields),
            "inputs": tuple(map(TensorSpec.from_json, fields["inputs"])),
            "outputs": tuple(map(TensorSpec.from_json, fields["outputs"])),
            "precision": Precision.of(fields["precision"]),
            "receptive_field": ReceptiveField.from_json(fields["receptive_field"]),
            "bytes_per_pixel": float(fields["bytes_per_pixel"]),
            "golden": _golden(fields["golden"]),
        }


@dataclass(frozen=True)
class OnnxModel(_Network):
    """Describe an ONNX file.

    >>> model = OnnxModel.load(Path("model.onnx"))
    >>> model.precision, str(model.inputs[0]), model.sizes.multiple
    (<Precision.FP32: 'fp32'>, 'float32[batch, height, width, 1]', 2)

    Attributes:
        kept: names of the convolutions and matrix products that compute in another type than
            `precision`.
        simulated: whether it computes in float32 and only rounds to `precision`.
        external_data: name and sha256 of the file beside it that holds weights over 2 GiB.
    """

    kind, format = "onnx", 7
    kept: tuple[str, ...] = ()
    simulated: bool = False
    external_data: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Path, ...]:
        """Return the paths of the file, its sidecar and its external data."""
        return *super().files, *map(self.path.with_name, self.external_data)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the sidecar and check the file and its external data against it.

        Raises:
            ArtifactError: it is missing, altered, or not in the file's own folder.
        """
        model = super().load(path)
        for name, sha256 in model.external_data.items():
            if Path(name).name != name:
                raise ArtifactError(
                    f"{sidecar_of(path)} names weights outside of its folder",
                    got=name,
                    expected="a file beside it",
                    hint="do not use it: it was altered",
                )
            data = path.with_name(name)
            _must_exist(data)
            if _sha256(data) != sha256:
                raise ArtifactError(
                    f"{data} does not hold the weights of {path}",
                    got="another sha256",
                    expected=f"{sha256[:12]}...",
                    hint="it was cut short or changed; make both again",
                )
        return model

    def _to_json(self) -> dict[str, Any]:
        return {
            **super()._to_json(),
            "kept": list(self.kept),
            "simulated": self.simulated,
            "external_data": self.external_data,
        }

    @classmethod
    def _from_json(cls, fields: dict[str, Any]) -> dict[str, Any]:
        return {
            **super()._from_json(fields),
            "kept": tuple(map(str, fields["kept"])),
            "simulated": bool(fields["simulated"]),
            "external_data": dict(fields["external_data"]),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTarget:
    """Name the machines that an engine was built for.

    >>> target = EngineTarget(compute_capabilities=("8.6", "8.9"))
    >>> target.gpu, target.version_compatible
    (None, False)

    Attributes:
        gpu: on which it was built; None where there was none.
        compute_capabilities: that it was built for, such as "8.6", "current" or "all"; empty where
            the library chose them.
        hardware_compatibility: "ampere-plus" or "same-compute-capability", where other GPUs than
            `gpu` take it too.
        version_compatible: whether newer versions of the library take it too. It holds code that
            runs on the CPU then.
    """

    gpu: Gpu | None = None
    compute_capabilities: tuple[str, ...] = ()
    hardware_compatibility: str | None = None
    version_compatible: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {**asdict(self), "compute_capabilities": list(self.compute_capabilities)}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            TypeError, KeyError: it is not that.
        """
        gpu, capabilities = fields["gpu"], tuple(map(str, fields["compute_capabilities"]))
        own = {"gpu": None if gpu is None else Gpu(**gpu), "compute_capabilities": capabilities}
        return cls(**fields | own)


@dataclass(frozen=True)
class Engine(_Network):
    """Describe a TensorRT or TensorRT-RTX engine.

    >>> made = Engine.write(Path("m.engine"), lambda path: path.write_bytes(b"a plan"),
    ...                     backend="tensorrt-rtx", receipt=Receipt(tf32=True))
    >>> Engine.load(Path("m.engine")).compute_precision
    <Precision.TF32: 'tf32'>

    Attributes:
        backend: "tensorrt" or "tensorrt-rtx".
        backend_version: engines do not cross versions.
        target: the machines that it was built for.
        profiles: by input, the shapes that it was built for.
        receipt: what it computes in.
        refittable: whether new weights can be put in without a rebuild.
        stripped: whether its weights were left out and have to be put in first.
        architecture: checksum of the network without its weights.
        warnings: of its builder.
    """

    kind, format = "engine", 7
    backend: str = ""
    backend_version: str = ""
    target: EngineTarget = field(default_factory=EngineTarget)
    profiles: dict[str, ShapeProfile] = field(default_factory=dict)
    receipt: Receipt = field(default_factory=Receipt)
    refittable: bool = False
    stripped: bool = False
    architecture: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def compute_precision(self) -> Precision:
        """Return what its convolutions multiply in: TF32 where float32 ones may round to it."""
        rounds = self.precision == Precision.FP32 and self.receipt.tf32
        return Precision.TF32 if rounds else self.precision

    def profile_of(self, tensor: TensorSpec) -> ShapeProfile | None:
        """Return the shapes of an input that it was built for; None where they are not known."""
        return self.profiles.get(tensor.name)

    def _to_json(self) -> dict[str, Any]:
        return {
            **super()._to_json(),
            "backend": self.backend,
            "backend_version": self.backend_version,
            "target": self.target.to_json(),
            "profiles": {name: shapes.to_json() for name, shapes in self.profiles.items()},
            "receipt": self.receipt.to_json(),
            "refittable": self.refittable,
            "stripped": self.stripped,
            "architecture": self.architecture,
            "warnings": list(self.warnings),
        }

    @classmethod
    def _from_json(cls, fields: dict[str, Any]) -> dict[str, Any]:
        profiles = fields["profiles"].items()
        return {
            **super()._from_json(fields),
            "backend": str(fields["backend"]),
            "backend_version": str(fields["backend_version"]),
            "target": EngineTarget.from_json(fields["target"]),
            "profiles": {name: ShapeProfile.from_json(shapes) for name, shapes in profiles},
            "receipt": Receipt.from_json(fields["receipt"]),
            "refittable": bool(fields["refittable"]),
            "stripped": bool(fields["stripped"]),
            "architecture": str(fields["architecture"]),
            "warnings": tuple(map(str, fields["warnings"])),
        }


def _normalization(fields: dict[str, Any] | None) -> Normalization | None:
    if fields is None:
        return None
    from unetrt.normalization import Normalization  # noqa: PLC0415  (as _golden)

    return Normalization.from_json(fields)


def _golden(fields: dict[str, Any] | None) -> GoldenSample | None:
    if fields is None:
        return None
    from unetrt.golden import GoldenSample  # noqa: PLC0415  (it brings NumPy, which --help has not)

    return GoldenSample.from_json(fields)


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise ArtifactError(f"Cannot read {path}", got=error.strerror) from error


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise ArtifactError(f"There is no file {path}", hint="check the name")
