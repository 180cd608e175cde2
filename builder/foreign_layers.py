"""Which layers of a Keras file are not Keras' own: read from its configuration, nothing is run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import h5py

__all__ = ["explain"]


def explain(path: Path, error: Exception) -> str:
    """Return in one line why Keras would not read the model in `path`, naming its layer."""
    words = str(error).strip() or type(error).__name__
    custom = re.search(r"Could not locate class '(\w+)'|Unknown layer: '(\w+)'", words)
    if custom:
        return _named(path, custom[1] or custom[2]) + ", which is not one of Keras'"
    if "`Lambda`" in words:
        return _named(path, "Lambda") + ", whose code would have to be run"
    return words.splitlines()[0]


def _named(path: Path, class_name: str) -> str:
    names = [name for kind, name in _layers(_configuration(path)) if kind == class_name and name]
    return f"the layer {names[0]!r} of class {class_name}" if names else f"the class {class_name}"


def _configuration(path: Path) -> Any:
    try:
        if path.suffix == ".h5":
            with h5py.File(path) as file:
                return json.loads(file.attrs["model_config"])
        with ZipFile(path) as archive:
            return json.loads(archive.read("config.json"))
    except (OSError, BadZipFile, KeyError, ValueError):
        return {}


def _layers(config: Any) -> Iterator[tuple[str, str]]:
    """Yield the class and name of every object that the configuration describes."""
    parts = config.values() if isinstance(config, dict) else config
    if isinstance(config, dict) and isinstance(config.get("config"), dict):
        yield (
            str(config.get("class_name")),
            str(config["config"].get("name") or config.get("name", "")),
        )
    for part in parts:
        if isinstance(part, (dict, list)):
            yield from _layers(part)
