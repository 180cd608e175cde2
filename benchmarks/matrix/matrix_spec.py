"""List what the matrix measures: networks, sizes, batches, precisions, libraries at hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from unetrt import vendor
from unetrt.errors import BadInput
from unetrt.gpu import find_gpu

from ..peers.peers import PEERS, peers_available

__all__ = [
    "BATCHES",
    "ENGINES",
    "GPU_BACKENDS",
    "NETWORKS",
    "PRECISIONS",
    "SCOPES",
    "USUAL",
    "Case",
    "MatrixSpec",
    "RowSpec",
    "cases_of",
    "present_backends",
    "present_peers",
    "spec_here",
]

NETWORKS = {"article": (512, 256, 1024), "paper": (572,), "small": (256,)}
"""Each network's sizes in pixels a side, the most telling first."""
USUAL = ("article", "paper")
"""The networks that are timed unless others are asked for; "small" is for a quick try."""
BATCHES = (1, 4, 16, 2, 8)
"""The most telling first: the ends and the middle of a curve, then what lies between."""
PRECISIONS = ("fp32", "fp16", "tf32", "int8", "bf16")
SCOPES = ("core", "end_to_end")
OURS = ("tensorrt", "tensorrt-rtx", "onnxruntime-tensorrt", "onnxruntime-cuda", "onnxruntime",
        "openvino")  # fmt: skip
"""Libraries that a session of ours runs on, by the names of their rows."""
CHANNELS = 1
N_CLASSES = 2


@dataclass(frozen=True, slots=True)
class RowSpec:
    """Name one row of the record before anything is opened.

    Attributes:
        network: a skeleton's name.
        side: height and width, in pixels.
        batch: images at once.
        precision: of the artifact; "tf32" is arithmetic on a float32 file.
        backend: of its row; a peer of one of our own names is called "... bare" there.
        scope: "core" or "end_to_end".
        peer: the peer's own name; empty for a library of ours.

    >>> RowSpec("article", 512, 1, "fp16", "tensorrt", "core").id
    'article/fp16/tensorrt/1x512x512x1/core/serialised'
    """

    network: str
    side: int
    batch: int
    precision: str
    backend: str
    scope: str
    peer: str = ""

    @property
    def id(self) -> str:
        """Return the id of the row in the record."""
        shape = f"{self.batch}x{self.side}x{self.side}x{CHANNELS}"
        return f"{self.network}/{self.precision}/{self.backend}/{shape}/{self.scope}/serialised"

    @property
    def network_key(self) -> str:
        """Return the key of the network in the record."""
        return f"{self.network}/{self.precision}/{self.batch}x{self.side}x{self.side}"


@dataclass(frozen=True, slots=True)
class Case:
    """Collect the rows of one network, size and batch, which are timed on the same input."""

    network: str
    side: int
    batch: int
    rows: tuple[RowSpec, ...]

    @property
    def title(self) -> str:
        """Return its name in the progress."""
        return f"{self.network} {self.batch}x{self.side}x{self.side}x{CHANNELS}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixSpec:
    """Say what the matrix times; each in an order of importance, the first first.

    Attributes:
        backends: libraries of ours.
        peers: other tools, by name, each with the precisions that it is asked for.
        networks: skeletons' names.
        sizes: heights and widths, in pixels; None takes each network's own.
        batches: images at once.
        precisions: of the artifacts.
        scopes: "core", "end_to_end".

    Raises:
        BadInput: a network, size, batch or precision that the matrix does not have.
    """

    backends: tuple[str, ...]
    peers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    networks: tuple[str, ...] = USUAL
    sizes: tuple[int, ...] | None = None
    batches: tuple[int, ...] = BATCHES
    precisions: tuple[str, ...] = PRECISIONS
    scopes: tuple[str, ...] = field(default=SCOPES)

    def __post_init__(self) -> None:
        _known("network", self.networks, tuple(NETWORKS))
        _known("precision", self.precisions, PRECISIONS)
        _known("scope", self.scopes, SCOPES)
        if not self.backends and not self.peers:
            raise BadInput(
                "There is nothing here to run a network with",
                expected="ONNX Runtime, OpenVINO or TensorRT",
                hint="install one of them with: pip install 'unetrt[cpu]'",
            )
        for name, numbers in (("batch", self.batches), ("size", self.sizes or (1,))):
            if min(numbers, default=0) < 1:
                raise BadInput(f"The matrix has no such {name}", got=numbers, expected="above 0")


def cases_of(spec: MatrixSpec) -> list[Case]:
    """Return the cases in an order of importance, so that what time allows is the best part.

    Batch 1 of every network and size before any larger batch: that is the latency of one image.
    """
    found = []
    for batch, network in product(spec.batches, spec.networks):
        sides = NETWORKS[network] if spec.sizes is None else spec.sizes
        for side in sides:
            rows = tuple(
                RowSpec(network, side, batch, *rest)
                for precision in spec.precisions
                for rest in _kinds(spec, precision)
            )
            found.append(Case(network, side, batch, rows))
    return found


def _kinds(spec: MatrixSpec, precision: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield precision, backend, scope and peer; peers are timed as a core alone."""
    for backend, scope in product(spec.backends, spec.scopes):
        yield precision, backend, scope, ""
    if "core" in spec.scopes:
        for name, precisions in spec.peers.items():
            if precision in precisions:
                yield precision, f"{name} bare" if name in OURS else name, "core", name


def _known(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown or not given:
        raise BadInput(
            f"The matrix has no such {what}",
            got=", ".join(unknown) or "none",
            expected=", ".join(known),
        )


ENGINES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
"""Backends that run engines, and the module of each."""

GPU_BACKENDS = (*ENGINES, "onnxruntime-tensorrt", "onnxruntime-cuda")
"""Backends that compute on a GPU."""

_ALSO_HALF = {"peer_onnxruntime", "peer_trtexec"}
"""Jobs that take the float16 file too; Keras and torch convert the float32 one themselves."""


def present_backends() -> tuple[str, ...]:
    """Return the backends that can be opened here, TensorRT first; imports none of them."""
    gpu = find_gpu() is not None
    found = [name for name, module in ENGINES.items() if gpu and vendor.installed(module)]
    if gpu and vendor.version("onnxruntime-gpu") is not None:
        found += ["onnxruntime-tensorrt", "onnxruntime-cuda"]
    found += [name for name in ("onnxruntime", "openvino") if vendor.installed(name)]
    return tuple(found)


def present_peers() -> dict[str, tuple[str, ...]]:
    """Return the peers that can be opened here, and the precisions to ask of each."""
    obstacles = peers_available()
    return {
        peer.name: (peer.precision,)
        if peer.precision is not None
        else ("fp32", "fp16")
        if peer.job in _ALSO_HALF
        else ("fp32",)
        for peer in PEERS
        if obstacles[peer.name] is None
    }


def spec_here(*, backends: Sequence[str] | None = None, **narrowed: Any) -> MatrixSpec:
    """Return all that this machine can measure, narrowed to what is named.

    Args:
        backends: libraries and peers by name; all that are here if None.
        narrowed: fields of `MatrixSpec`; None or empty for all of it.

    Raises:
        BadInput: something that the matrix or this machine does not have.
    """
    own, peers = present_backends(), present_peers()
    if backends:
        unknown = [name for name in backends if name not in {*own, *peers}]
        if unknown:
            raise BadInput(
                "This machine cannot run these",
                got=", ".join(unknown),
                expected=" or ".join(dict.fromkeys((*own, *peers))) or "something installed",
            )
        own = tuple(name for name in own if name in backends)
        peers = {name: asked for name, asked in peers.items() if name in backends}
    given = {name: tuple(chosen) for name, chosen in narrowed.items() if chosen}
    return MatrixSpec(backends=own, peers=peers, **given)
