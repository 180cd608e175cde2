"""A sidecar may be a stranger's: what it says of the GPU and versions is read with care."""

from pathlib import Path

import pytest

from unetrt.artifacts import Engine
from unetrt.engine_compatibility import HOST_CODE, check_gpu, check_version, check_weights
from unetrt.errors import ArtifactError
from unetrt.gpu import Gpu

H100 = Gpu("NVIDIA H100", "9.0", "13.0")


def engine(spec=None, **made_with):
    made_with |= {} if spec is None else {"spec": spec}
    return Engine(
        Path("m.engine"), "", backend="tensorrt", backend_version="11.0.0.114", made_with=made_with
    )


@pytest.mark.parametrize(
    "made_with", [{}, {"spec": None}, {"spec": "all", "gpu": None}, {"gpu": {}}]
)
def test_a_sidecar_that_does_not_say_is_left_to_the_library(made_with):
    spoken_of = engine(**made_with)
    assert check_gpu(spoken_of, H100) is H100
    check_weights(spoken_of)
    check_version(spoken_of, "11.0.0.114")


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
    compatible = engine({"version_compatible": True})
    if fits:
        check_version(compatible, installed)
        return
    with pytest.raises(ArtifactError, match=f"got 11.0.0.114, expected {installed} or older"):
        check_version(compatible, installed)


@pytest.mark.parametrize("value", ["", "0", "yes"])
def test_code_inside_an_engine_runs_by_leave_alone(monkeypatch, value):
    monkeypatch.setenv(HOST_CODE, value)
    with pytest.raises(ArtifactError, match="carries code that runs on the CPU; set"):
        check_version(engine({"version_compatible": True}), "11.0.0.114")
