"""Small real-looking data, and a small model carried once down the whole road."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from PIL import Image

from tests.processes import comes_true, descendants, mark_descendants
from unetrt.data import Dataset, Sample

# No test fails because the machine is busy.
hypothesis.settings.register_profile("unetrt", deadline=None)
hypothesis.settings.load_profile("unetrt")

# Set before any test imports TensorFlow; vendor.keras() would set the same.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# Some tests import ONNX Runtime by themselves; vendor.onnxruntime() would set the same.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("ORT_TELEMETRY_DISABLED", "1")

# On two cores each of two workers would start two threads, which wait for each other.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if WORKERS > 1:
    _threads = str(max(1, (os.cpu_count() or 1) // WORKERS))
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", _threads)
    os.environ.setdefault("OMP_NUM_THREADS", _threads)


@pytest.fixture(scope="session", autouse=True)
def _no_process_stays() -> Iterator[None]:
    """Fail with the last test where a process that a test started is still there."""
    mark_descendants()
    yield
    assert comes_true(lambda: not descendants()), descendants()


def built_once(
    tmp_path_factory: pytest.TempPathFactory, name: str, build: Callable[[Path], None]
) -> Path:
    """Return a folder that the first worker to ask for it fills and all of them read."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if WORKERS == 1 else base.parent) / name
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.with_suffix(".built").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            build(folder)
            folder.with_suffix(".built").touch()
    return folder


def draw_disc(random: np.random.Generator, height: int, width: int):
    """Return a noisy grey image of one bright disc, and its mask."""
    y, x = np.mgrid[:height, :width]
    cy, cx = random.uniform(0.3, 0.7) * height, random.uniform(0.3, 0.7) * width
    inside = (y - cy) ** 2 + (x - cx) ** 2 < (min(height, width) / 4) ** 2
    image = np.where(inside, 170, 60) + random.normal(0, 10, (height, width))
    return np.clip(image, 0, 255).astype(np.uint8), inside


def write_folder(folder: Path, sizes=((48, 56),) * 6, *, label_dtype=np.uint8, on=255) -> Path:
    """Write images/ and labels/ of discs."""
    random = np.random.default_rng(0)
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for number, (height, width) in enumerate(sizes):
        image, inside = draw_disc(random, height, width)
        Image.fromarray(image).save(folder / "images" / f"disc{number}.png")
        label = (inside * on).astype(label_dtype)
        Image.fromarray(label).save(folder / "labels" / f"disc{number}.png")
    return folder


@pytest.fixture(scope="session")
def keras():
    """Keras on TensorFlow; the test is skipped, visibly, where it is not installed."""
    pytest.importorskip("tensorflow")
    from unetrt import vendor

    return vendor.keras()


@pytest.fixture
def disc_folder(tmp_path: Path) -> Path:
    """A folder of six discs with masks."""
    return write_folder(tmp_path / "discs")


@pytest.fixture(scope="session")
def discs() -> Dataset:
    """Discs as a data set, sizes that no network halves included."""
    random = np.random.default_rng(1)

    def samples(part: str, count: int) -> tuple[Sample, ...]:
        drawn = [draw_disc(random, 50, 61) for _ in range(count)]
        return tuple(
            Sample(f"{part}{k}", image[:, :, np.newaxis], inside.astype(np.uint8))
            for k, (image, inside) in enumerate(drawn)
        )

    parts = (samples("train", 6), samples("val", 2), samples("test", 3))
    return Dataset("discs", ("background", "disc"), *parts)


@pytest.fixture(scope="session")
def road(tmp_path_factory: pytest.TempPathFactory, discs: Dataset) -> Path:
    """A folder with model.keras and both ONNX files and engines made from it, to be read only."""
    pytest.importorskip("tensorflow")
    return built_once(tmp_path_factory, "road", lambda folder: _build_road(folder, discs))


def _build_road(folder: Path, discs: Dataset) -> None:
    from unetrt import vendor

    vendor.keras().utils.set_random_seed(0)  # a few seeds lie on the edge of a tolerance
    from unetrt.builder import TrainSpec, UNetSpec, build_unet
    from unetrt.builder.fit import fit
    from unetrt.convert.precision import to_precision
    from unetrt.convert.to_engine import EngineSpec, build_engine
    from unetrt.convert.to_onnx import export_onnx
    from unetrt.keras_models import save_model
    from unetrt.tensors import ShapeRange

    mean, std = discs.pixel_statistics()
    spec = UNetSpec(
        shape=(None, None, 1),
        n_classes=2,
        filters=(4, 8),
        bottleneck=16,
        normalization="batch",
        dropout=0.1,
        pixel_mean=mean,
        pixel_std=std,
    )
    model = build_unet(spec)
    fit(model, discs, TrainSpec(epochs=2, crop=32, batch=4))
    file = save_model(
        model,
        folder / "model.keras",
        classes=discs.classes,
        source={"data": "discs"},
        made_with={},
    )
    fp32 = export_onnx(model, folder / "model.fp32.onnx", origin=file)
    fp16 = to_precision(fp32, folder / "model.fp16.onnx")
    sizes = ShapeRange(32, 64, 128)
    for onnx_model in (fp32, fp16):
        build_engine(
            onnx_model,
            folder / f"model.{onnx_model.precision}.engine",
            EngineSpec(backend="tensorrt-rtx", height=sizes, width=sizes),
        )


@pytest.fixture(scope="session")
def normalizing(tmp_path_factory: pytest.TempPathFactory, discs: Dataset) -> Path:
    """A folder as of `road`, of a network whose pixels are normalised file by file; untrained."""
    pytest.importorskip("tensorflow")
    return built_once(tmp_path_factory, "normalizing", lambda at: _build_normalizing(at, discs))


def _build_normalizing(folder: Path, discs: Dataset) -> None:
    from unetrt import vendor

    vendor.keras().utils.set_random_seed(0)
    from unetrt.builder import UNetSpec, build_unet
    from unetrt.convert.precision import to_precision
    from unetrt.convert.to_engine import EngineSpec, build_engine
    from unetrt.convert.to_onnx import export_onnx
    from unetrt.keras_models import save_model
    from unetrt.normalization import Normalization
    from unetrt.tensors import ShapeRange

    spec = UNetSpec(shape=(None, None, 1), n_classes=2, filters=(4, 8), bottleneck=8)
    model = build_unet(spec)
    file = save_model(
        model,
        folder / "model.keras",
        classes=discs.classes,
        source={"data": "discs"},
        made_with={},
        normalization=Normalization(),
    )
    fp32 = export_onnx(model, folder / "model.fp32.onnx", origin=file)
    fp16 = to_precision(fp32, folder / "model.fp16.onnx")
    sizes = ShapeRange(32, 64, 128)
    build_engine(
        fp16,
        folder / "model.fp16.engine",
        EngineSpec(backend="tensorrt-rtx", height=sizes, width=sizes),
    )


@pytest.fixture
def world_of(monkeypatch, tmp_path):
    """Make a world of a fake TensorRT and a fake GPU; the backend opens engines in it."""
    from tests.fakes.tensorrt_runtime import A10, RTX, World
    from unetrt.runtime.backends import tensorrt as backend

    def make(version=RTX, gpu=A10):
        world = World(tmp_path, version)
        monkeypatch.setattr(backend, "find_gpu", lambda: gpu)
        monkeypatch.setattr(backend, "open_device", lambda _wanted: world.device)
        monkeypatch.setattr(backend.vendor, "tensorrt", lambda _name: world.trt)
        return world

    monkeypatch.setenv("UNETRT_CACHE", str(tmp_path / "cache"))
    return make


@pytest.fixture
def world(world_of):
    """TensorRT-RTX, which captures its graphs by itself."""
    return world_of()


@pytest.fixture
def capturing(world_of):
    """TensorRT, whose graphs we capture."""
    return world_of("tensorrt 11.4.0.106")
