"""Choose what an engine is built for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from unetrt.errors import BadInput
from unetrt.sizes import SizeRule
from unetrt.tensors import ShapeRange

__all__ = ["HARDWARE_LEVELS", "EngineSpec"]

HARDWARE_LEVELS = {
    "ampere-plus": "AMPERE_PLUS",
    "same-compute-capability": "SAME_COMPUTE_CAPABILITY",
}
"""TensorRT's hardware compatibility levels: our names, and its own."""

_MOST_OPTIMIZATION = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec:
    """Choose what an engine is built for.

    Attributes:
        backend: "tensorrt", "tensorrt-rtx" (builds without a GPU), or "auto": TensorRT where it
            and a GPU are present, else TensorRT-RTX.
        batch: images a run; by default 1:1:8, or the model's own.
        height: in pixels, by default 256:256:512, or the model's own; all three must fit the
            model's size rule.
        width: likewise.
        tf32: let float32 convolutions round their inputs to TF32 on tensor cores.
        workspace_bytes: limit of the scratch memory that a layer may take on the GPU; by default
            all of it.
        optimization_level: 0 (builds fast) to 5 (runs fastest); by default the library's, 3.
        hardware_compatibility: "ampere-plus" or "same-compute-capability": an engine that other
            GPUs take too, and is slower for it; TensorRT only.
        version_compatible: build an engine that newer versions take too; TensorRT only. It holds
            code that runs on the CPU.
        refittable: let new weights be put in without a rebuild.
        stripped: leave out the weights; the engine cannot run until they are put in, and unless
            it is refittable too, they must be the very ones it was built with.
        targets: compute capabilities such as "8.6", "current" or "all"; TensorRT-RTX only, which
            by default chooses them itself.

    Raises:
        BadInput: a number out of range, or an unknown hardware compatibility.

    >>> EngineSpec(height=ShapeRange(256, 512, 1024), refittable=True).backend
    'auto'
    """

    backend: str = "auto"
    batch: ShapeRange | None = None
    height: ShapeRange | None = None
    width: ShapeRange | None = None
    tf32: bool = False
    workspace_bytes: int | None = None
    optimization_level: int | None = None
    hardware_compatibility: str | None = None
    version_compatible: bool = False
    refittable: bool = False
    stripped: bool = False
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        level, workspace = self.optimization_level, self.workspace_bytes
        if level is not None and not 0 <= level <= _MOST_OPTIMIZATION:
            raise BadInput(
                "There is no such optimisation level",
                got=level,
                expected=f"0 to {_MOST_OPTIMIZATION}",
            )
        if workspace is not None and workspace < 1:
            raise BadInput("Cannot limit the workspace", got=workspace, expected="at least 1 byte")
        if self.hardware_compatibility not in {None, *HARDWARE_LEVELS}:
            raise BadInput(
                "There is no such hardware compatibility",
                got=repr(self.hardware_compatibility),
                expected=" or ".join(HARDWARE_LEVELS),
            )

    @classmethod
    def for_sizes(cls, sizes: Iterable[tuple[int, int]], rule: SizeRule, **choices: Any) -> Self:
        """Return the spec of an engine that takes every image, tuned for the median.

        Args:
            sizes: height and width of each image, in pixels; at least one.
            rule: of the network: images are mirrored out to it.
            choices: other fields of the spec.

        >>> EngineSpec.for_sizes([(200, 300), (250, 260), (300, 400)], SizeRule(32)).height
        ShapeRange(min=224, opt=256, max=320)
        """
        height, width = (
            ShapeRange(sides[0], sides[len(sides) // 2], sides[-1])
            for sides in (sorted(map(rule.covering, axis)) for axis in zip(*sizes, strict=True))
        )
        return cls(height=height, width=width, **choices)

    def check(self, backend: str) -> None:
        """Refuse choices that `backend` does not have.

        Raises:
            BadInput: names the argument, and the backend that has it.
        """
        rtx = backend == "tensorrt-rtx"
        foreign = {
            "hardware_compatibility": rtx and self.hardware_compatibility is not None,
            "version_compatible": rtx and self.version_compatible,
            "targets": not rtx and bool(self.targets),
        }
        for argument, refused in foreign.items():
            if refused:
                raise BadInput(
                    f"{backend} has no `{argument}`",
                    hint="it builds for several GPUs at once with `targets`, for its own version"
                    if rtx
                    else "it builds for the GPU that it runs on, or with `hardware_compatibility`",
                )
