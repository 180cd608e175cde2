import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetrt.benchmarks.networks.skeletons import fill_skeleton
from unetrt.benchmarks.roofline.ceilings import Ceilings
from unetrt.benchmarks.roofline.graph_cost import LayerCost, NetworkCost, graph_cost
from unetrt.benchmarks.roofline.roofline import layer_limit, roofline

H200 = Ceilings({"float16": 790e12}, 4.3e12, "as the issue says", "NVIDIA H200", "2026-11-24")


def layer(flops=0, nbytes=1000, name="down1/conv1", computes_in="float16"):
    op = "Conv" if flops else "MaxPool"
    return LayerCost(name, name.partition("/")[0], op, computes_in, flops, nbytes, 0, ())


def network(*layers):
    return NetworkCost("fp16", 1, 8, 8, 3, layers)


def moves_ns(found):
    """Return the times of the layers that multiply nothing, which are no part of the floor."""
    return [limit.attainable_ns for limit in found.limits if not limit.layer.flops]


def test_the_article_s_floor_on_an_h200(tmp_path):
    model = fill_skeleton("article", tmp_path / "m.onnx", precision="fp16")
    found = roofline(graph_cost(model, batch=1, height=512, width=512), H200)
    assert found.cost.flops == pytest.approx(126e9, rel=0.01)
    assert found.attainable_ns == pytest.approx(174e3, rel=0.02)
    assert sum(moves_ns(found)) == pytest.approx(42e3, rel=0.02)
    assert sum(found.blocks_ns.values()) == pytest.approx(found.attainable_ns)


@given(st.integers(1, 10**12), st.integers(1, 10**12))
def test_the_larger_limit_binds(flops, nbytes):
    limit = layer_limit(layer(flops, nbytes), H200)
    times = {"compute": flops / 790e12 * 1e9, "memory": nbytes / 4.3e12 * 1e9}
    assert limit.attainable_ns == max(times.values()) == times[limit.bound_by]


def test_what_multiplies_nothing_is_bound_by_memory_and_stands_beside_the_floor():
    found = roofline(network(layer(790_000), layer(nbytes=4300, name="down1/pool")), H200)
    assert [limit.bound_by for limit in found.limits] == ["compute", "memory"]
    assert (found.attainable_ns, *moves_ns(found)) == (pytest.approx(1.0), pytest.approx(1.0))
    assert found.blocks_ns == {"down1": pytest.approx(1.0)}


def test_a_type_without_a_peak_has_no_limit_nor_has_its_network():
    found = roofline(network(layer(100), layer(100, computes_in="float32", name="up1/c")), H200)
    assert found.limits[1].attainable_ns is None
    assert found.attainable_ns is None
    assert found.blocks_ns["up1"] is None
    assert found.blocks_ns["down1"] is not None


def test_a_machine_may_compute_in_another_type():
    taken = layer_limit(layer(790_000, computes_in="float32"), H200, {"float32": "float16"})
    assert taken.attainable_ns == pytest.approx(1.0)


def test_the_record_s_entry():
    entry = roofline(network(layer(790_000)), H200).to_json()
    assert entry["layers"] == [
        {
            "name": "down1/conv1", "block": "down1", "op": "Conv", "flops": 790_000, "bytes": 1000,
            "attainable_ns": pytest.approx(1.0),
        }
    ]  # fmt: skip
    assert (entry["flops"], entry["bytes"], entry["channels"]) == (790_000, 1000, 3)
