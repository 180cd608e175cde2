"""Layers chosen by the names of their nodes."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

from unetrt.errors import BadInput

__all__ = ["matching"]


def matching(patterns: Iterable[str], names: Collection[str]) -> frozenset[str]:
    """Return the names that are, or match, one of the patterns: `*`, `?` and `[...]` as in a shell.

    Raises:
        BadInput: a pattern matches nothing; lists the names close to it.
    """
    found: set[str] = set()
    for pattern in patterns:
        matched = {name for name in names if name == pattern or fnmatchcase(name, pattern)}
        if not matched:
            close = difflib.get_close_matches(pattern.strip("*"), names, n=3, cutoff=0.4)
            raise BadInput(
                "No layer has the name that is to be kept",
                got=repr(pattern),
                hint=f"close to it are {', '.join(close)}"
                if close
                else f"the layers are {', '.join(sorted(names)[:5])} and so on",
            )
        found |= matched
    return frozenset(found)
