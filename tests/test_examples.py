"""The examples in docstrings run as they stand, and find their files in the current folder.

    cells/        images/ and labels/ of six grey discs, 48 x 56 pixels: a data folder
    cell.png      one of these images
    model.onnx    a U-Net of one level, untrained: float32, two classes, any size, and its sidecar
    model.keras   a U-Net of one level, untrained: for modules that load TensorFlow only
    record.json   a record of the benchmark matrix on two CPU cores

Each module gets files of its own, so its examples may write and change what they like.
"""

import doctest
import importlib
import shutil
import subprocess
import sys

import pytest

from tests.benchmarks.tiny_unet import tiny_unet
from tests.conftest import write_folder
from tests.test_repository import ROOT, STAGES

TENSORFLOW = (
    "unetrt.builder.folds",
    "unetrt.builder.evaluate",
    "unetrt.builder.loop",
    "unetrt.builder.losses",
    "unetrt.builder.run_folder",
    "unetrt.builder.start",
    "unetrt.builder.unet",
    "unetrt.convert.export",
    "unetrt.convert.keras_source",
    "unetrt.convert.saved_model",
    "unetrt.convert.to_onnx",
    "unetrt.convert.trace",
    "unetrt.keras_models",
)
"""Modules, and packages with all in them, that load TensorFlow when imported or in an example."""


def modules_with_examples():
    """Name every product module whose text holds a doctest prompt; imports none."""
    paths = [path for top in ("unetrt", *STAGES) for path in sorted((ROOT / top).rglob("*.py"))]
    for path in paths:
        if ">>> " in path.read_text():
            words = path.relative_to(ROOT).with_suffix("").parts
            words = words if words[0] == "unetrt" else ("unetrt", *words)
            yield ".".join(words[:-1] if words[-1] == "__init__" else words)


MODULES = sorted(set(modules_with_examples()))
HEAVY = [
    name for name in MODULES if any(f"{name}.".startswith(f"{heavy}.") for heavy in TENSORFLOW)
]


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Make what every module's examples find."""
    folder = tmp_path_factory.mktemp("examples")
    write_folder(folder / "cells")
    shutil.copy(folder / "cells" / "images" / "disc0.png", folder / "cell.png")
    shutil.copy(ROOT / "benchmarks/results/cpu-2-cores/matrix/record.json", folder)
    tiny_unet(folder / "model.onnx", free=True)
    return folder


@pytest.fixture(scope="session")
def keras_file(tmp_path_factory):
    """Make the Keras model of the examples."""
    from unetrt.builder import UNetSpec, build_unet
    from unetrt.keras_models import save_model

    spec = UNetSpec(shape=(None, None, 1), n_classes=2, filters=(4,), bottleneck=8)
    path = tmp_path_factory.mktemp("examples") / "model.keras"
    save_model(build_unet(spec), path, classes=("background", "disc"), source={}, made_with={})
    return path


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.tf if n in HEAVY else ()) for n in MODULES]
)
def test_examples_run(name, files, tmp_path, monkeypatch, request):
    work = tmp_path / "work"
    shutil.copytree(files, work)
    if name in HEAVY:
        pytest.importorskip("tensorflow")
        for path in request.getfixturevalue("keras_file").parent.iterdir():
            shutil.copy(path, work)
    monkeypatch.chdir(work)
    monkeypatch.setenv("UNETRT_CACHE", str(tmp_path / "cache"))
    outcome = doctest.testmod(
        importlib.import_module(name),
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE,
    )
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_there_are_modules_with_examples():
    assert {"unetrt.benchmarks.record", "unetrt.benchmarks.compare"} <= set(MODULES)


def test_modules_that_are_not_marked_load_no_tensorflow():
    light = [name for name in MODULES if name not in HEAVY]
    code = f"import sys, {', '.join(light)}\nassert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
