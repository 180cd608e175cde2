import json
from importlib import resources

import jsonschema
import pytest

from tests.benchmarks.made_records import full_record, make_record, make_row
from unetrt.benchmarks.record import SCHEMA, read_record, write_record
from unetrt.errors import BadInput, OutputError

RECORD_SCHEMA = json.loads(
    resources.files("unetrt.benchmarks").joinpath("record.schema.json").read_text()
)


def validate(stored):
    validator = jsonschema.Draft202012Validator(RECORD_SCHEMA)
    validator.check_schema(RECORD_SCHEMA)
    validator.validate(json.loads(json.dumps(stored)))


@pytest.mark.parametrize("make", [make_record, full_record])
def test_a_record_follows_the_schema_and_comes_back_as_it_went(tmp_path, make):
    record = make()
    validate(record.to_json())
    write_record(record, tmp_path / "r.json")
    assert read_record(tmp_path / "r.json") == record
    assert [p.name for p in tmp_path.iterdir()] == ["r.json"]


@pytest.mark.parametrize(
    ("where", "planted"),
    [
        (("schema",), 2),
        (("made",), "yesterday"),
        (("surprise",), 1),
        (("rows", 0, "surprise"), 1),
        (("rows", 0, "precision"), "fp12"),
        (("rows", 0, "rate_per_s"), 3.0),
        (("rows", 2, "rate_per_s"), None),
        (("rows", 0, "samples_ns", "host"), []),
        (("rows", 0, "samples_ns", "host", 0), -1),
        (("rows", 0, "windows", 0, "throttle"), "idle"),
        (("rows", 0, "artifact", "sha256"), "short"),
        (("machine", "git"), 5),
        (("comparisons", 0, "verdict"), "much faster"),
    ],
)
def test_the_schema_refuses(where, planted):
    stored = json.loads(json.dumps(full_record().to_json()))
    *path, last = where
    inner = stored
    for step in path:
        inner = inner[step]
    inner[last] = planted
    with pytest.raises(jsonschema.ValidationError):
        validate(stored)


def test_the_id_names_what_tells_rows_apart():
    assert make_row().id == "article/fp32/onnxruntime/1x64x64x1/core/serialised"
    assert make_row(rebuild=2).id.endswith("/serialised/rebuild2")
    assert make_row(mode="open_loop", rate_per_s=12.5).id.endswith("/core/open_loop@12.5")
    with pytest.raises(BadInput, match="Two rows of a benchmark are called the same: got article/"):
        make_record(make_row(), make_row())


def test_rounds_are_the_windows_samples():
    assert [len(t) for t in make_row(range(1, 22)).rounds_ns] == [10, 11]
    assert make_row((1, 2, 3), windows=()).rounds_ns == ((1, 2, 3),)


def test_another_version_is_refused_by_its_number(tmp_path):
    stored = make_record().to_json() | {"schema": SCHEMA + 1}
    (tmp_path / "r.json").write_text(json.dumps(stored))
    with pytest.raises(BadInput, match=r"another version: got schema 2, expected schema 1; make"):
        read_record(tmp_path / "r.json")


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{", '{"kind": "something"}', '{"kind": "unetrt-benchmark", "schema": 1}',
        b"\xff\xfe",
    ],
)  # fmt: skip
def test_what_is_no_record_is_said_to_be_none(tmp_path, text):
    path = tmp_path / "r.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadInput, match="is not the record of a benchmark"):
        read_record(path)
    with pytest.raises(BadInput, match="There is no file"):
        read_record(tmp_path / "none.json")


@pytest.mark.parametrize("planted", [{"id": "x"}, {"mode": "fast"}, {"samples_ns": {"host": []}}])
def test_a_row_that_was_altered_is_refused(tmp_path, planted):
    stored = make_record().to_json()
    stored["rows"][0] |= planted
    (tmp_path / "r.json").write_text(json.dumps(stored))
    with pytest.raises(BadInput, match="is not the record of a benchmark: got ValueError"):
        read_record(tmp_path / "r.json")


def test_what_json_cannot_say_is_not_written(tmp_path):
    record = make_record(make_row(images_per_s=float("inf")))
    with pytest.raises(ValueError, match="JSON compliant"):
        write_record(record, tmp_path / "r.json")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Cannot write"):
        write_record(make_record(), tmp_path / "file" / "r.json")
