"""Engines are refused by their sidecar alone where this machine or library cannot run them."""

from pathlib import Path

import pytest

from unetrt.artifacts import Engine, EngineTarget
from unetrt.engine_compatibility import HOST_CODE, check_gpu, check_version, check_weights
from unetrt.errors import ArtifactError
from unetrt.gpu import Gpu

H100 = Gpu("NVIDIA H100", "9.0", "13.0")


def engine(**target):
    return Engine(
        Path("m.engine"),
        "",
        backend="tensorrt",
        backend_version="11.0.0.114",
        target=EngineTarget(**target),
    )


def test_an_engine_of_no_known_gpu_is_left_to_the_library():
    assert check_gpu(engine(), H100) is H100
    check_weights(engine())
    check_version(engine(), "11.0.0.114")


@pytest.mark.parametrize(
    ("installed", "fits"),
    [
        ("11.0.0.114", True),
        ("11.4.0.106", True),
        ("12.0.0.1", True),
        ("11.0.0.99", False),
        ("10.16.1.11", False),
    ],
)
def test_version_compatible_engines_run_on_newer_versions_alone(installed, fits, monkeypatch):
    monkeypatch.setenv(HOST_CODE, "1")
    compatible = engine(version_compatible=True)
    if fits:
        check_version(compatible, installed)
        return
    with pytest.raises(ArtifactError, match=f"got 11.0.0.114, expected {installed} or older"):
        check_version(compatible, installed)


@pytest.mark.parametrize("value", ["", "0", "yes"])
def test_code_inside_an_engine_runs_by_leave_alone(monkeypatch, value):
    monkeypatch.setenv(HOST_CODE, value)
    with pytest.raises(ArtifactError, match="carries code that runs on the CPU; set"):
        check_version(engine(version_compatible=True), "11.0.0.114")
