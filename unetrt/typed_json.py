"""Read frozen dataclasses back from JSON by the types of their fields."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

__all__ = ["from_json"]

_NUMBERS: dict[Any, tuple[type, ...]] = {float: (float, int), int: (int,)}


def from_json(kind: Any, value: Any) -> Any:
    """Return the value of a type that JSON made `value` of: lists become tuples, objects classes.

    Args:
        kind: a dataclass, a NamedTuple, a plain type, or a union, tuple, dict or Literal of such.
        value: what `json.loads` gave.

    Raises:
        TypeError: it is not of that type, or a field is unknown or missing.
        UnetrtError: as the dataclass itself refuses a value.

    Example:
        >>> from unetrt.sizes import SizeRule
        >>> from_json(SizeRule, {"multiple": 16, "remainder": 4, "margin": 92})
        SizeRule(multiple=16, remainder=4, margin=92)
        >>> from_json(tuple[float, ...] | None, [1, 2.5])
        (1, 2.5)
        >>> from_json(int, "7")
        Traceback (most recent call last):
            ...
        TypeError: got '7', expected int
    """
    if kind is Any:
        return value
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        known = {field.name for field in fields(kind)}
        make: Any = kind
        given = _of(dict, value, kind)
        if not given.keys() <= known:
            raise TypeError(f"got {', '.join(sorted(given.keys() - known))} for {make.__name__}")
        return make(**{name: from_json(hints[name], part) for name, part in given.items()})
    read = _READERS.get(get_origin(kind))
    if read is not None:
        return read(kind, value)
    if isinstance(kind, type) and issubclass(kind, tuple):  # a NamedTuple
        hints = get_type_hints(kind)
        parts = _of(list, value, kind)
        return kind(*(from_json(h, part) for h, part in zip(hints.values(), parts, strict=True)))
    return _of(_NUMBERS.get(kind, kind), value, kind)


def _union(kind: Any, value: Any) -> Any:
    if value is None and type(None) in get_args(kind):
        return None
    refused = None
    for one in get_args(kind):
        try:
            return from_json(one, value)
        except (TypeError, ValueError) as error:
            refused = error
    raise TypeError(f"got {value!r}, expected {kind}") from refused


def _tuple(kind: Any, value: Any) -> tuple[Any, ...]:
    own, parts = get_args(kind), _of(list, value, kind)
    each = [own[0]] * len(parts) if own[-1] is Ellipsis else own
    if len(each) != len(parts):
        raise TypeError(f"got {value!r}, expected {kind}")
    return tuple(from_json(one, part) for one, part in zip(each, parts, strict=True))


def _dict(kind: Any, value: Any) -> dict[Any, Any]:
    key, part = get_args(kind)
    return {
        from_json(key, name): from_json(part, own) for name, own in _of(dict, value, kind).items()
    }


def _literal(kind: Any, value: Any) -> Any:
    if value not in get_args(kind):
        raise TypeError(f"got {value!r}, expected {kind}")
    return value


_READERS = {
    Union: _union,
    types.UnionType: _union,
    tuple: _tuple,
    dict: _dict,
    Mapping: _dict,
    Literal: _literal,
}


def _of(types_: Any, value: Any, kind: Any) -> Any:
    """Return the value if it is of one of the types; a flag is no number."""
    fits = isinstance(value, types_) and (kind is bool or not isinstance(value, bool))
    if not fits:
        raise TypeError(f"got {value!r}, expected {getattr(kind, '__name__', kind)}")
    return value
