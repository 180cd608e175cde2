"""One very small network, trained once through the command line, and what is made of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import write_folder
from tests.jobs.command_line import run_cli

IMAGES = 6


@dataclass(frozen=True)
class Made:
    """A file that a subcommand wrote, and the JSON that it printed."""

    path: Path
    printed: dict[str, Any]

    @property
    def sidecar(self) -> dict[str, Any]:
        """Return the JSON beside the file."""
        return json.loads(self.path.with_name(f"{self.path.name}.json").read_text())


@pytest.fixture(scope="session")
def work(tmp_path_factory):
    """The folder of everything below, with a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("jobs")
        patch.setenv("UNETRT_CACHE", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="session")
def data(work):
    """A folder of images/ and labels/."""
    return write_folder(work / "discs", sizes=((32, 48),) * IMAGES)


@pytest.fixture(scope="session")
def trained(work, data):
    """model.keras after one epoch of small crops."""
    pytest.importorskip("tensorflow")
    words = ("--epochs", "1", "--crop", "32", "--batch", "2", "--json")
    out = work / "run"
    return Made(out / "model.keras", run_cli("train", data, "--out", out, *words).result)


@pytest.fixture(scope="session")
def convert(work):
    """Convert a file: convert(path, "name.onnx", "--precision", "fp16") -> Made."""

    def convert(source, name, *words):
        out = work / name
        return Made(out, run_cli("convert", source, "--out", out, *words, "--json").result)

    return convert


@pytest.fixture(scope="session")
def fp32(convert, trained):
    return convert(trained.path, "model.onnx")


@pytest.fixture(scope="session")
def fp16(convert, fp32):
    return convert(fp32.path, "model.fp16.onnx", "--precision", "fp16")


@pytest.fixture(scope="session")
def int8(convert, fp32, data):
    words = ("--precision", "int8", "--data", data, "--images", "2")
    return convert(fp32.path, "model.int8.onnx", *words)


@pytest.fixture(scope="session")
def labels(convert, trained):
    """The network from bytes to labels."""
    words = ("--pixels", "uint8", "--outputs", "labels", "--layout", "NCHW")
    return convert(trained.path, "model.labels.onnx", *words)


@pytest.fixture(scope="session")
def wrong(work, fp32):
    """The network with another bias in its last layer: a sound file with wrong outputs."""
    import numpy as np
    import onnx
    from onnx import numpy_helper

    proto = onnx.load(fp32.path)
    (bias,) = (one for one in proto.graph.initializer if one.name == "logits/bias")
    changed = numpy_helper.to_array(bias) + np.float32([30, -30])
    bias.CopyFrom(numpy_helper.from_array(changed, bias.name))
    path = work / "wrong.onnx"
    onnx.save(proto, path)
    # Without its sidecar a file has no golden sample to disagree with; with that of another, no
    # hash of its own.
    sidecar = fp32.sidecar | {"sha256": _sha256(path)}
    path.with_name(f"{path.name}.json").write_text(json.dumps(sidecar))
    return path


def _sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()
