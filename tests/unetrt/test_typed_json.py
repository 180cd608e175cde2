import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import pytest

from unetrt.typed_json import from_json


class Pair(NamedTuple):
    least: int
    most: float


@dataclass(frozen=True)
class Inner:
    names: tuple[str, ...]
    sides: tuple[int, int] | int | None = None


@dataclass(frozen=True)
class Outer:
    pair: Pair
    parts: tuple[Inner, ...]
    shares: dict[str, float]
    how: Literal["one", "all"]
    anything: Any = None


WHOLE = Outer(Pair(1, 2.5), (Inner(("a",)), Inner((), (3, 4)), Inner((), 7)), {"a": 0.5}, "all")


def test_what_went_into_json_comes_back():
    assert from_json(Outer, json.loads(json.dumps(asdict(WHOLE)))) == WHOLE


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"how": "none"}, "got 'none', expected"),
        ({"shares": {"a": "much"}}, "got 'much', expected float"),
        ({"pair": [True, 1]}, "got True, expected int"),
        ({"parts": [{"names": "a"}]}, "got 'a', expected"),
        ({"parts": [{"names": [], "sides": [1]}]}, r"got \[1\], expected"),
        ({"more": 1}, "got more for Outer"),
    ],
)
def test_what_is_of_another_type_is_refused(changed, told):
    with pytest.raises(TypeError, match=told):
        from_json(Outer, json.loads(json.dumps(asdict(WHOLE) | changed)))
