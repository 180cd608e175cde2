"""The record that these tests draw is one that `read_record` would read."""

import json

from tests.benchmarks.report.synthetic import record
from tests.test_repository import ROOT
from unetrt.benchmarks.record import Record


def test_it_follows_the_schema_and_comes_back_as_it_was():
    import jsonschema

    schema = json.loads((ROOT / "benchmarks" / "record.schema.json").read_text())
    jsonschema.validate(record(), schema)
    assert Record.from_json(record()).to_json() == record()
