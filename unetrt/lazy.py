"""Offer a package's names without importing their modules until a name is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from unetrt.errors import MissingDependency

__all__ = ["lazy_names", "naming_extras"]

_EXTRAS = {
    "keras": "train",
    "onnx": "convert",
    "onnx_ir": "convert",
    "onnxscript": "convert",
    "scipy": "train",
    "tensorflow": "train",
    "tf2onnx": "train",
}
"""The extra that brings each optional package that a module of ours imports at its top."""


def lazy_names(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a package's `__getattr__` and `__dir__` (PEP 562).

    A name must not be that of a module of the package, which an import would put in its place.

    Args:
        package: its `__name__`.
        homes: the module of each name, below the package, and behind a colon its name there where
            that is another: {"train": "builder.train", "build": "convert.to_engine:build_engine"}.

    Raises:
        MissingDependency: (the functions) a module stands on a package that is not installed.

    >>> get, names = lazy_names("unetrt", {"ShapeRange": "tensors"})
    >>> get("ShapeRange")(1, 2, 4)
    ShapeRange(min=1, opt=2, max=4)
    >>> names()
    ['ShapeRange']
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, own = homes[name].partition(":")
        with naming_extras(f"{package}.{name}"):
            return getattr(import_module(f"{package}.{module}"), own or name)

    return get, lambda: sorted(homes)


@contextmanager
def naming_extras(purpose: str) -> Iterator[None]:
    """Name the extra of an optional package that an import within the block does not find.

    Args:
        purpose: what needs it, as the first words of the error.

    Raises:
        MissingDependency: it is one of ours.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRAS:
            raise
        raise MissingDependency(missing, extra=_EXTRAS[missing], purpose=purpose) from error
