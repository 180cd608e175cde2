import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetrt.benchmarks.matrix.matrix_spec import BATCHES, NETWORKS, PRECISIONS, MatrixSpec, cases_of
from unetrt.errors import BadInput


def some(values):
    return st.lists(st.sampled_from(values), min_size=1, unique=True).map(tuple)


def test_the_whole_matrix_is_what_the_issue_asks_for():
    cases = cases_of(MatrixSpec(backends=("onnxruntime",)))
    assert {case.side for case in cases if case.network == "article"} == {256, 512, 1024}
    assert {case.side for case in cases if case.network == "paper"} == {572}
    assert {case.batch for case in cases} == {1, 2, 4, 8, 16}
    assert len(cases) == 5 * 4
    assert all(len(case.rows) == 5 * 2 for case in cases)


def test_one_image_at_a_time_comes_before_any_batch_and_fp32_and_fp16_before_other_precisions():
    cases = cases_of(MatrixSpec(backends=("onnxruntime", "openvino")))
    assert [case.batch for case in cases[:4]] == [1] * 4
    assert (cases[0].network, cases[0].side) == ("article", 512)
    first = [spec.precision for spec in cases[0].rows[:8]]
    assert set(first) == {"fp32", "fp16"}


@given(some(tuple(NETWORKS)), some(BATCHES), some(PRECISIONS), some((256, 512)), some(("a", "b")))
def test_each_row_is_there_once_and_its_id_is_its_own(networks, batches, precisions, sizes, who):
    wanted = MatrixSpec(
        backends=who, networks=networks, sizes=sizes, batches=batches, precisions=precisions
    )
    ids = [spec.id for case in cases_of(wanted) for spec in case.rows]
    assert len(ids) == len(set(ids))
    assert len(ids) == 2 * len(networks) * len(sizes) * len(batches) * len(precisions) * len(who)


def test_an_id_is_the_row_s():
    case = cases_of(MatrixSpec(backends=("tensorrt",), precisions=("fp16",)))[0]
    assert case.rows[0].id == "article/fp16/tensorrt/1x512x512x1/core/serialised"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"networks": ("vnet",)}, "no such network: got vnet, expected article, paper, small"),
        ({"precisions": ("fp8",)}, "no such precision: got fp8"),
        ({"precisions": ()}, "no such precision: got none"),
        ({"batches": (0,)}, "no such batch"),
        ({"sizes": (256, -1)}, "no such size"),
        ({"backends": ()}, "nothing here to run a network with"),
    ],
)
def test_what_the_matrix_does_not_have_is_refused(fields, said):
    with pytest.raises(BadInput, match=said):
        MatrixSpec(**({"backends": ("a",)} | fields))
