import json
import math

import pytest

from unetrt.cli.shell import emit, interval


def test_json_has_null_for_what_is_no_number_however_deep(capsys):
    result = {"a": [1.0, math.inf, {"b": (math.nan, "x")}], "c": -math.inf, "d": [[2]]}
    emit(result, as_json=True, shown=[])
    assert json.loads(capsys.readouterr().out) == {
        "a": [1.0, None, {"b": [None, "x"]}], "c": None, "d": [[2]],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [(0.95, 1.0512, "0.950 to 1.051"), (0.0, math.inf, "unknown"), (None, None, "unknown")],
)
def test_an_interval_without_bounds_is_unknown(low, high, shown):
    assert interval(low, high) == shown
