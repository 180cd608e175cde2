"""The examples in the docstrings of records and reports run as they stand."""

import doctest
import importlib

import pytest

from tests.test_repository import ROOT


@pytest.mark.parametrize("name", ["record", "compare"])
def test_examples_run(name, monkeypatch):
    monkeypatch.chdir(ROOT)  # they read a record of this repository
    found = doctest.testmod(importlib.import_module(f"unetrt.benchmarks.{name}"))
    assert found.attempted
    assert not found.failed
