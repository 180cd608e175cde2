import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetrt.errors import BadInput
from unetrt.precision import Precision

PRECISIONS = st.sampled_from(list(Precision))
MEASURED = st.sampled_from([p for p in Precision if p not in {"fp8", "int4", "fp4"}])
NAMESPACES = ("numpy", "onnx", "tensorrt", "openvino", "compute_dtype")


@given(PRECISIONS)
def test_a_precision_is_its_own_name(precision):
    assert Precision.of(str(precision)) is precision
    assert precision == str(precision)
    assert json.loads(json.dumps({precision: precision})) == {str(precision): str(precision)}


@given(PRECISIONS, st.sampled_from(NAMESPACES))
def test_a_library_s_name_leads_back_to_a_precision_that_it_calls_the_same(precision, namespace):
    name = getattr(precision, namespace)
    found = getattr(Precision, f"from_{namespace}")(name)
    assert getattr(found, namespace) == name
    assert found is precision or {found, precision} == {Precision.FP32, Precision.TF32}
    assert Precision.lookup(namespace, name) is found


@given(st.text())
def test_no_other_name_is_one(text):
    for namespace in ("value", *NAMESPACES):
        found = Precision.lookup(namespace, text)
        assert (found is None) == (text not in {getattr(p, namespace) for p in Precision})


def test_a_name_that_is_none_is_answered_with_those_that_are():
    with pytest.raises(BadInput, match="no such precision: got 'fp64', expected fp32, .* or fp4"):
        Precision.of("fp64")
    with pytest.raises(BadInput, match="no such TensorRT type to compute in: got 'INT64'.*HALF"):
        Precision.from_tensorrt("INT64")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("tf32", "tf32"), ("float32", "fp32"), ("bfloat16, the rest float32", "bf16")],
)
def test_what_most_is_computed_in_comes_first(text, expected):
    assert Precision.from_compute_dtype(text) == expected


@pytest.mark.parametrize("precision", Precision)
def test_names_are_those_of_the_libraries(precision):
    onnx = pytest.importorskip("onnx")
    number = onnx.TensorProto.DataType.Value(precision.onnx)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(number)
    assert (dtype.name, dtype.itemsize) == (precision.numpy, precision.itemsize)


def test_openvino_has_these_types():
    openvino = pytest.importorskip("openvino")
    for precision in Precision:
        assert getattr(openvino.Type, precision.openvino).get_bitwidth() == precision.bits


def test_numpy_has_these_sizes():
    for precision in (Precision.FP32, Precision.FP16, Precision.INT8):
        assert np.dtype(precision.numpy).itemsize == precision.itemsize


@given(MEASURED, MEASURED)
def test_the_coarser_of_two_allows_what_both_allow(one, other):
    coarser = one.coarser(other)
    assert coarser in {one, other}
    for measure in ("max_abs_diff", "dice"):
        most = max(getattr(own.tolerance, measure) for own in (one, other))
        assert getattr(coarser.tolerance, measure) == most
    assert coarser.divergence == max(one.divergence, other.divergence)


def test_what_was_not_measured_has_no_tolerance():
    with pytest.raises(BadInput, match="no tolerance for this precision: got fp8, expected fp32"):
        _ = Precision.FP8.tolerance
    with pytest.raises(BadInput, match="no tolerance"):
        Precision.FP32.coarser(Precision.INT4)
