"""`import unetrt` offers exactly the names that README.md documents, lazily and typed."""

import ast
import importlib
import re

import pytest

import unetrt
from tests.test_repository import ROOT

PACKAGES = ("unetrt", "unetrt.builder")


def section(title):
    text = (ROOT / "README.md").read_text()
    return text.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_the_public_names_are_exactly_the_documented_ones():
    code = re.findall(r"`([^`\n]+)`", section("From Python").replace("```", ""))
    words = {word for part in code for word in re.findall(r"(?<![\w.\"])[A-Za-z_]\w+", part)}
    public = set(unetrt.__all__) - {"__version__"}
    assert len(public) > 30
    assert public <= words
    named = {word for word in words if word[0].isupper()}
    verbs = {found[1] for part in code for found in re.finditer(r"(\w+)\(", part)}
    assert (named | verbs) - public == set()


@pytest.mark.parametrize("name", PACKAGES)
def test_every_name_is_there_and_checked_as_what_it_is(name):
    package = importlib.import_module(name)
    tree = ast.parse((ROOT / f"{name.replace('.', '/')}/__init__.py").resolve().read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {
        alias.asname or alias.name: (node.module, node.level, alias.name)
        for node in block.body
        for alias in node.names
    }
    assert set(imported) == set(package.__all__) - {"__version__"} == set(dir(package))
    for own, (module, level, theirs) in imported.items():
        there = importlib.import_module(f"{'.' * level}{module}", name)
        assert getattr(package, own) is getattr(there, theirs)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        package.nonsense  # noqa: B018


def test_a_name_whose_package_is_missing_names_the_extra(monkeypatch):
    from unetrt.errors import MissingDependency
    from unetrt.lazy import lazy_names

    get, _ = lazy_names("tests", {"thing": "fakes.needs_tf2onnx"})
    missing = ModuleNotFoundError("No module named 'tf2onnx'", name="tf2onnx")

    def absent(_name):
        raise missing

    monkeypatch.setattr("unetrt.lazy.import_module", absent)
    with pytest.raises(MissingDependency, match=r"pip install 'unetrt\[train\]'"):
        get("thing")
