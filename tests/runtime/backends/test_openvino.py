"""What OpenVINO really computes in, whatever it was asked for."""

import pytest

from unetrt.benchmarks.networks.skeletons import fill_skeleton
from unetrt.runtime import SessionSpec, open_session


@pytest.fixture
def has_bfloat16():
    core = pytest.importorskip("openvino").Core()
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.mark.parametrize(
    ("precision", "asked", "computed"),
    [
        ("fp32", "own", "float32"),
        ("fp16", "own", "float32"),
        ("int8", "own", "int8, the rest float32"),
        # Transposed convolutions stay in float32 in such a file.
        ("bf16", "own", "bfloat16, the rest float32"),
        ("fp32", "fast", "bfloat16"),
    ],
)
def test_it_is_read_off_the_compiled_convolutions(
    has_bfloat16, tmp_path, precision, asked, computed
):
    if "bfloat16" in computed and not has_bfloat16:
        pytest.skip("this CPU has no bfloat16")
    model = fill_skeleton("small", tmp_path / "model.onnx", precision=precision)
    spec = SessionSpec(backend="openvino", precision=asked)
    with open_session(model, spec) as session:
        assert session.info["computes_in"] == computed
