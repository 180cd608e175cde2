import importlib
import json
import sys

import pytest

from unetrt.benchmarks import zoo
from unetrt.benchmarks.processes import ChildResult
from unetrt.benchmarks.zoo_models import ZOO, ZooModel
from unetrt.benchmarks.zoo_page import row, zoo_page
from unetrt.errors import BadInput

GOOD = {
    "package": "keras",
    "stage": "done",
    "parameters": 2_300_000,
    "input": [1, 128, 128, 3],
    "free_size": True,
    "size_multiple": 32,
    "nodes": 106,
    "transposes": 2,
    "size_arithmetic": 0,
    "difference": 1.5e-7,
    "fp16_difference": 7.7e-5,
    "convert_s": 2.93,
    "engine_s": 1.01,
    "fp16_share": 1.0,
    "casts": 2,
    "peak_rss_bytes": 2**30,
    "failure": None,
}
BAD = {"package": "medicai", "stage": "export", "failure": "UnsupportedModel: tf2onnx cannot"}


def page(models):
    machine = {"cpu": "a CPU", "cores": 2, "packages": {"keras": "3.15.1"}}
    return zoo_page({"machine": machine, "packages": {"keras": "3.15.1"}, "models": models})


def test_the_zoo_has_at_least_twelve_networks_of_distinct_names():
    names = [model.name for model in ZOO]
    assert len(names) == len(set(names)) >= 12


def test_the_page_says_what_works_and_why_the_rest_does_not():
    text = page({"fcn": GOOD, "upernet": BAD})
    assert "1 of 2 work." in text
    assert (
        "| fcn | keras | yes | 2.3 | free, x32 | 106 | 2 | 0 | 1e-07 | 8e-05 | 2.9 | 1.0 | 100% "
        "| 2 | 1.0 |"
    ) in text
    assert "| upernet | medicai | no |" in text
    assert "- `upernet`, at the stage *export*: UnsupportedModel: tf2onnx cannot" in text


def test_the_page_s_rows_have_as_many_cells_as_its_head():
    rows = [line for line in page({"fcn": GOOD, "upernet": BAD}).splitlines() if line[:1] == "|"]
    assert len(rows) == 4
    assert len({line.count("|") for line in rows}) == 1


def test_a_network_of_fixed_size_shows_it():
    assert "| 128x128 |" in page({"fcn": GOOD | {"free_size": False}})


def test_a_line_tells_the_stage_that_failed():
    assert "FAILS at export: UnsupportedModel" in row("upernet", BAD)
    assert "ok: 106 nodes, 2 Transpose" in row("fcn", GOOD)


def test_one_network_s_failure_does_not_stop_the_others(monkeypatch):
    def child(_module, arguments, _folder, _timeout_s):
        found = {key: GOOD[key] for key in GOOD if key not in {"package", "failure"}}
        if arguments[0] == "bad":
            return ChildResult({"stage": "engine"}, "stopped after 1 s")
        return ChildResult(found, None)

    monkeypatch.setattr(zoo, "run_child", child)
    models = [ZooModel(name, "keras", "zoo_applications") for name in ("good", "bad", "better")]
    said = []
    visited = dict(zoo.visit(models, 1, said.append))
    assert [result["failure"] for result in visited.values()] == [None, "stopped after 1 s", None]
    assert len(said) == 3


def test_the_file_and_the_page_are_written_and_one_network_can_be_visited_again(
    monkeypatch, tmp_path, capsys
):
    out, docs = tmp_path / "zoo.json", tmp_path / "zoo.md"
    monkeypatch.setattr(zoo, "ZOO", [ZooModel(n, "keras", "zoo_applications") for n in "ab"])
    monkeypatch.setattr(zoo.vendor, "need", lambda *_modules, **_words: None)
    found = {key: GOOD[key] for key in GOOD if key not in {"package", "failure"}}
    answers = iter([ChildResult(found, None), ChildResult({}, "it said nothing")])
    monkeypatch.setattr(zoo, "run_child", lambda *_given: next(answers))
    monkeypatch.setattr(sys, "argv", ["zoo", "--out", str(out), "--docs", str(docs)])
    assert zoo.main() == 0
    assert "1 of 2 work" in capsys.readouterr().out
    answers = iter([ChildResult(found | {"nodes": 99}, None)])
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--only", "b"])
    assert zoo.main() == 0
    models = json.loads(out.read_text())["models"]
    assert [model["nodes"] for model in models.values()] == [106, 99]
    assert "2 of 2 work." in docs.read_text()


def test_a_network_that_is_not_in_the_zoo_is_refused(monkeypatch, tmp_path):
    argv = ["zoo", "--out", str(tmp_path / "zoo.json"), "--only", "no-such-net"]
    monkeypatch.setattr(sys, "argv", argv)
    with pytest.raises(BadInput, match=r"The zoo has no such network: got no-such-net, expected"):
        zoo.main()
    assert not list(tmp_path.iterdir())


@pytest.mark.tf
@pytest.mark.parametrize("recipes", sorted({model.recipes for model in ZOO}))
def test_every_network_of_the_list_has_a_recipe_and_none_is_left_out(recipes):
    pytest.importorskip("tensorflow")
    try:
        module = importlib.import_module(f"unetrt.benchmarks.jobs.{recipes}")
    except ModuleNotFoundError as error:
        pytest.skip(f"needs the extra zoo: {error}")
    assert set(module.MODELS) == {model.name for model in ZOO if model.recipes == recipes}


@pytest.fixture
def job():
    for module in ("tensorflow", "tensorrt_rtx", "onnxruntime", "tf2onnx"):
        pytest.importorskip(module)
    from unetrt.benchmarks.jobs import zoo as job

    return job


def small(activation="softmax"):
    import keras
    from keras import layers

    image = keras.Input((None, None, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", use_bias=False)(image)
    x = layers.BatchNormalization()(x)
    return keras.Model(image, layers.Conv2D(2, 1, activation=activation)(x))


@pytest.mark.tf
def test_a_network_that_works_comes_to_an_engine(job, tmp_path):
    result = job.run(small, tmp_path)
    assert result["stage"] == "done"
    assert result["fp16_share"] == 1.0
    assert result["difference"] <= 1e-4
    assert result["operators"]["Conv"] == 2
    assert json.loads((tmp_path / "result.json").read_text()) == result


@pytest.mark.tf
def test_normalisations_are_shaken_so_that_losing_one_would_show(job):
    model = small()
    job._shake(model)
    for variable in model.get_layer(index=2).weights:
        values = variable.numpy()
        assert len(set(values.tolist())) == 4
        assert abs(values).max() < 1.5


@pytest.mark.tf
def test_a_constant_output_is_no_proof_and_is_refused(job, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "_shake", lambda model: model.set_weights(
        [0 * weight for weight in model.get_weights()]
    ))  # fmt: skip
    with pytest.raises(job.ParityError, match="The output says nothing"):
        job.run(small, tmp_path)
    assert json.loads((tmp_path / "result.json").read_text())["stage"] == "compare"


@pytest.mark.tf
def test_a_network_that_differs_is_refused_with_the_difference(job, tmp_path, monkeypatch):
    own = job._run_onnx
    monkeypatch.setattr(job, "_run_onnx", lambda *given: [y + 0.01 for y in own(*given)])
    with pytest.raises(job.ParityError, match=r"disagrees with Keras: got 1.0e-02"):
        job.run(small, tmp_path)


@pytest.mark.tf
def test_the_process_that_fails_leaves_its_reason(job, tmp_path, monkeypatch):
    from unetrt.benchmarks.jobs import zoo_applications

    def broken():
        raise ValueError("\x1b[1mno such\x1b[0m\n\nencoder")

    monkeypatch.setitem(zoo_applications.MODELS, "broken", broken)
    argv = ["zoo", "broken", "--recipes", "zoo_applications", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", argv)
    with pytest.raises(ValueError, match="no such"):
        job.main()
    found = json.loads((tmp_path / "result.json").read_text())
    assert found["stage"] == "build"
    assert found["reason"] == "ValueError: no such encoder"
