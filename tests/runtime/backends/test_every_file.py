"""OpenVINO and ONNX Runtime agree in float32 on every kind of file that unetrt writes."""

import numpy as np
import pytest

from unetrt.errors import BadInput
from unetrt.runtime import SessionSpec, open_session

pytestmark = pytest.mark.tf

EDGES = {
    "float": {},
    "uint8": {"pixels": "uint8"},
    "uint16": {"pixels": "uint16"},
    "labels": {"outputs": "labels"},
    "both": {"outputs": "both"},
    "nchw": {"layout": "NCHW"},
    "all": {"pixels": "uint8", "outputs": "both", "layout": "NCHW"},
    "opset 23": {"opset": 23},
}


@pytest.fixture(scope="module")
def files(road, discs, tmp_path_factory):
    """Every kind of edge, and every precision, of the road's model."""
    from unetrt import vendor

    vendor.keras()
    from unetrt.convert.export import ExportSpec
    from unetrt.convert.precision import PrecisionSpec, simulate_bfloat16, to_precision
    from unetrt.convert.to_onnx import export_onnx
    from unetrt.keras_models import load_model

    folder = tmp_path_factory.mktemp("files")
    model, file = load_model(road / "model.keras")
    made = {
        name: export_onnx(model, folder / f"{name}.onnx", ExportSpec(**changes), origin=file)
        for name, changes in EDGES.items()
    }
    for name, spec in {
        "fp16": PrecisionSpec(),
        "bf16": PrecisionSpec(precision="bf16"),
        "int8": PrecisionSpec(precision="int8"),
        "int8 fp16": PrecisionSpec(precision="int8", rest="fp16"),
    }.items():
        data = discs if spec.precision == "int8" else None
        for edge in ("float", "all"):
            path = folder / f"{name}.{edge}.onnx"
            made[f"{name}, {edge}"] = to_precision(made[edge], path, spec, data=data)
    made["bf16 simulated"] = simulate_bfloat16(made["bf16, float"], folder / "simulated.onnx")
    return made


RUN = [*EDGES, *(f"{p}, {e}" for p in ("fp16", "int8", "int8 fp16") for e in ("float", "all"))]


@pytest.mark.parametrize("name", RUN)
def test_both_libraries_agree_at_any_batch_and_size(files, name):
    pytest.importorskip("openvino")
    model = files[name]
    tensor = model.inputs[0]
    with (
        open_session(model, SessionSpec(backend="openvino")) as openvino,
        open_session(model, SessionSpec(backend="onnxruntime")) as onnxruntime,
    ):
        for batch, height, width in ((1, 64, 48), (3, 32, 96)):
            x = np.random.default_rng(0).integers(0, 256, (batch, height, width, 1))
            x = x.transpose(0, 3, 1, 2) if model.layout == "NCHW" else x
            feeds = {tensor.name: x.astype(tensor.dtype)}
            one, other = openvino.run(feeds), onnxruntime.run(feeds)
            assert one.keys() == other.keys()
            for key, y in one.items():
                assert (y.dtype, y.shape) == (other[key].dtype, other[key].shape)
                if "int8" in name:  # see openvino.obstacle
                    assert np.abs(y - other[key].astype(np.float32)).mean() < 0.2
                elif y.dtype == np.uint8:
                    assert (y != other[key]).mean() < 0.002
                else:
                    np.testing.assert_allclose(
                        y, other[key], atol=2e-5 if "fp16" not in name else 5e-3
                    )


def test_auto_leaves_int8_to_onnx_runtime_unless_it_may_be_less(files):
    pytest.importorskip("openvino")
    with open_session(files["int8, float"]) as session:
        assert session.info["backend"] == "onnxruntime"
        assert session.info["computes_in"] == "int8, the rest float32"
        assert "not openvino: it quantises more than the file says" in session.info["why"]
    with open_session(files["int8, float"], SessionSpec(precision="fast")) as session:
        assert session.info["backend"] == "openvino"


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("name", RUN)
def test_every_file_passes_its_self_test(files, name, backend):
    with open_session(files[name], SessionSpec(backend=backend, self_test=True)) as session:
        found = session.self_test()
    assert found.precision == files[name].precision
    assert (found.height, found.width) == (16, 16)
    if "labels" in name:
        assert found.max_abs_diff is None
        assert found.labels_that_differ == 0
    elif files[name].precision == "fp32":
        assert found.max_abs_diff < 1e-5


def test_simulated_bfloat16_is_left_to_onnx_runtime(files):
    """OpenVINO takes the casts that round for casts that do nothing."""
    with open_session(files["bf16 simulated"], SessionSpec(self_test=True)) as session:
        assert session.info["backend"] == "onnxruntime"
        assert "simulates bfloat16" in session.info["why"]
    with pytest.raises(BadInput, match="simulates bfloat16"):
        open_session(files["bf16 simulated"], SessionSpec(backend="openvino"))
