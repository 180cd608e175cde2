"""The rules of the house that no single module can keep. Each guard first finds what it guards."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import unetrt
from unetrt.precision import Precision
from unetrt.tensors import LAYOUTS

ROOT = Path(__file__).parents[1]
STAGES = ("builder", "convert", "runtime", "benchmarks")
PROMISES = ROOT / "benchmarks" / "promises"
"""The project's own figures, which users do not run."""

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/"
    ).stdout


def product_files():
    """Name every product module, below the root."""
    tops = [ROOT / top for top in ("unetrt", *STAGES)]
    paths = sorted({path.resolve() for top in tops for path in top.rglob("*.py")})
    assert len(paths) > 150
    return [str(path.relative_to(ROOT)) for path in paths]


def names_of_precisions():
    """Gather all names that a precision goes by, with what TensorRT's inspector writes."""
    names = {getattr(p, n) for p in Precision for n in ("value", "numpy", "onnx", "openvino")}
    return names | {p.tensorrt for p in Precision} | {p.upper() for p in Precision}


def maps_precisions(source):
    """Yield the lines of dictionaries with two or more names of precisions on one side."""
    names = names_of_precisions()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Dict):
            continue
        sides = (node.keys, [v for v in node.values if isinstance(v, ast.Constant)])
        spelled = [{getattr(k, "value", None) for k in side} & names for side in sides]
        if any(len(found) > 1 for found in spelled):
            yield node.lineno


def test_precision_is_the_only_mapping_of_its_names():
    assert list(maps_precisions('x = {"fp32": "float32", "fp16": "float16"}\n')) == [1]
    assert list(maps_precisions('x = {"a": "FLOAT", "b": "HALF"}\n')) == [1]
    found = {path: list(maps_precisions((ROOT / path).read_text())) for path in product_files()}
    assert {path: lines for path, lines in found.items() if lines} == {}


def asks_for_a_layout(source):
    """Yield the lines that compare with a layout's name or know an image's rank by themselves."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            ends = [getattr(end, "value", None) for end in (node.left, *node.comparators)]
            if {end for end in ends if isinstance(end, str)} & set(LAYOUTS):
                yield node.lineno
        if isinstance(node, ast.Name) and "IMAGE_RANK" in node.id and node.id.startswith("_"):
            yield node.lineno


def test_the_layout_of_an_image_is_asked_of_its_tensor():
    assert list(asks_for_a_layout('if model.layout == "NCHW": pass\n')) == [1]
    assert list(asks_for_a_layout("_IMAGE_RANK = 4\n")) == [1]
    found = {path: list(asks_for_a_layout((ROOT / path).read_text())) for path in product_files()}
    assert {path: lines for path, lines in found.items() if lines} == {}


def reads_provenance(source):
    """Yield the lines that take a key of an artifact's `made_with` or receipt."""
    for node in ast.walk(ast.parse(source)):
        taken = node.value if isinstance(node, ast.Subscript) else None
        if isinstance(node, ast.Attribute) and node.attr == "get":
            taken = node.value
        if isinstance(taken, ast.Attribute) and taken.attr in {"made_with", "receipt"}:
            yield node.lineno


def test_what_a_stage_reads_of_an_artifact_is_a_field():
    assert list(reads_provenance('engine.made_with.get("spec")\n')) == [1]
    assert list(reads_provenance('engine.receipt["tf32"]\n')) == [1]
    # The builder alone compares the spec of a finished training with the one it is asked to resume.
    paths = [path for path in product_files() if path != "builder/run_folder.py"]
    found = {path: list(reads_provenance((ROOT / path).read_text())) for path in paths}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize("stage", STAGES)
def test_one_file_is_one_module(stage):
    assert (ROOT / "unetrt" / stage).resolve() == ROOT / stage
    package = importlib.util.find_spec(f"unetrt.{stage}")
    assert Path(package.origin).resolve() == ROOT / stage / "__init__.py"


def test_no_stage_is_imported_by_its_folder_s_name():
    sources = [p for p in ROOT.rglob("*.py") if ".venv" not in p.parts and "build" not in p.parts]
    assert len(sources) > 60
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            assert not {name.partition(".")[0] for name in names} & set(STAGES), path


def test_the_light_half_loads_nothing_heavy():
    code = (
        "import sys, unetrt.runtime, unetrt.benchmarks, unetrt.runtime.backends.onnxruntime\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    loaded = set(python(code).split())
    assert {"unetrt", "numpy"} <= loaded
    heavy = {"tensorflow", "keras", "tf2onnx", "onnx", "onnxscript", "matplotlib", "scipy"}
    assert not loaded & heavy


def test_the_command_line_s_help_loads_no_stage():
    code = (
        "import sys\n"
        "from unetrt.__main__ import app\n"
        "try: app(['--help'])\n"
        "finally: print(*sys.modules)"
    )
    done = python(code)
    assert "bench-matrix" in done
    loaded = {name.partition(".")[0] for name in done.split()}
    assert "typer" in loaded
    assert not loaded & {"numpy", "PIL", "rich", "tensorflow"}
    assert not {f"unetrt.{stage}" for stage in STAGES} & set(done.split())


def test_the_help_of_every_subcommand_needs_no_optional_package():
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'tf2onnx', 'onnx', 'onnx_ir', 'onnxscript', 'scipy',\n"
        "             'onnxruntime', 'openvino', 'tensorrt_rtx', 'matplotlib', 'jinja2', 'zarr'):\n"
        "    sys.modules[name] = None\n"
        "from typer.main import get_command\n"
        "from unetrt.__main__ import app\n"
        "print(*(command.name for command in get_command(app).commands.values()))"
    )
    assert {"train", "convert", "build", "verify", "bench-matrix"} <= set(python(code).split())


def test_importing_the_package_loads_nothing_but_itself():
    loaded = python("import sys, unetrt\nprint(*sys.modules)").split()
    assert {name for name in loaded if name.startswith("unetrt")} == {
        "unetrt", "unetrt.errors", "unetrt.lazy",
    }  # fmt: skip
    assert not set(loaded) & {"numpy", "rich", "typer", "tensorflow"}


@pytest.mark.parametrize(
    ("planted", "line"),
    [
        ("runtime/session.py", "import unetrt.builder"),
        ("benchmarks/stats.py", "import tensorflow"),
        ("builder/train.py", "import unetrt.convert"),
        ("convert/to_engine.py", "import unetrt.runtime"),
        ("unetrt/parity.py", "import unetrt.cli.demo"),
        ("benchmarks/measure.py", "import unetrt.benchmarks.promises.memory"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path, planted, line):
    for name in ("unetrt", *STAGES):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / planted).open("a") as file:
        file.write(f"\n{line}\n")
    code = "from importlinter.cli import lint_imports_command as run; run()"
    linted = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert linted.returncode == 1, linted.stdout + linted.stderr
    assert "BROKEN" in linted.stdout


def test_the_wheel_holds_each_file_once_and_every_package_but_the_promises(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT],
        check=True,
        capture_output=True,
    )
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    assert len(names) == len(set(names))
    packaged = {name for name in names if name.startswith("unetrt/")}
    modules = [path for stage in STAGES for path in (ROOT / stage).rglob("*.py")]
    promises = [path for path in modules if path.is_relative_to(PROMISES)]
    assert len(promises) > 10
    for path in modules:
        assert (f"unetrt/{path.relative_to(ROOT)}" in packaged) == (path not in promises), path
    skeletons = {
        f"unetrt/benchmarks/networks/{p.name}"
        for p in (ROOT / "benchmarks/networks").glob("*.onnx")
    }
    assert len(skeletons) == 12
    assert {"unetrt/py.typed", "unetrt/report/report.html.j2", *skeletons} <= packaged
    assert not any(name.startswith((*STAGES, "tests")) for name in names)


def test_every_folder_with_modules_but_the_promises_is_a_listed_package():
    folders = {
        path.parent.relative_to(ROOT)
        for top in ("unetrt", *STAGES)
        for path in (ROOT / top).rglob("__init__.py")
    }
    folders.remove(PROMISES.relative_to(ROOT))
    names = {".".join(p.parts) if p.parts[0] == "unetrt" else ".".join(("unetrt", *p.parts))
             for p in folders}  # fmt: skip
    assert names == set(PROJECT["tool"]["setuptools"]["packages"])


def test_the_version_is_said_once_and_again_the_same():
    assert unetrt.__version__ == PROJECT["project"]["version"]
    assert f"## {unetrt.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_no_error_of_the_library_names_an_option():
    """It names its arguments; unetrt/cli/shell.py knows their options."""
    sentences = []
    for path in (p for top in ("unetrt", *STAGES) for p in sorted((ROOT / top).rglob("*.py"))):
        if {"cli", "promises", "children"} & set(path.parts):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and node.exc is not None:
                texts = (n.value for n in ast.walk(node.exc) if isinstance(n, ast.Constant))
                sentences += [(path, text) for text in texts if isinstance(text, str)]
    assert len(sentences) > 500
    named = [one for one in sentences if re.search(r"(?:^|[\s(])--[a-z]", one[1])]
    assert named == []


@pytest.mark.parametrize("machine", ["cpu", "gpu"])
def test_constraints_pin_exactly_and_name_no_address(machine):
    lines = (ROOT / "constraints" / f"{machine}.txt").read_text().split("\n")
    pins = [line for line in lines if line and not line.startswith("#")]
    assert len(pins) > 50
    assert all("==" in pin and "://" not in pin for pin in pins)


def docstrings():
    """Yield each docstring of the product with its place."""
    for top in ("unetrt", *STAGES):
        for path in sorted((ROOT / top).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
                if isinstance(node, kinds) and (text := ast.get_docstring(node)):
                    yield f"{path.relative_to(ROOT)}: {getattr(node, 'name', 'module')}", text


def test_docstrings_begin_with_what_is_done():
    first = {place: text.split(maxsplit=1)[0] for place, text in docstrings()}
    assert len(first) > 1000
    riddles = {"What", "Which", "Whether", "How", "Where", "Who", "Of", "As", "When", "Why"}
    assert not [f"{place} opens with {word}" for place, word in first.items() if word in riddles]
