import json
import math
from pathlib import Path

import pytest
from typer.main import get_command

from unetrt.__main__ import COMMANDS, app
from unetrt.cli import shell
from unetrt.cli.output import ShownProgress, emit, interval


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_of_commands_says_what_the_command_says_of_itself(name):
    command = get_command(app).commands[name]
    assert command.help.split("\n")[0] == COMMANDS[name]
    assert command.name == name


def test_every_module_of_the_command_line_is_in_the_table():
    words = {name.replace("-", "_") for name in COMMANDS}
    modules = {path.stem for path in Path(shell.__file__).parent.glob("*.py")}
    assert words <= modules


def test_every_option_that_the_library_s_arguments_become_exists():
    there = {
        option
        for command in get_command(app).commands.values()
        for parameter in command.params
        for option in parameter.opts
    }
    arguments = {*shell._OPTIONS, *shell._ARGUMENTS}
    assert len(arguments) > 20
    assert {shell.option_of(argument) for argument in arguments} <= there


@pytest.mark.parametrize("option", ["--size", "--memory", "--workspace", "--precision"])
def test_a_value_that_cannot_be_read_is_one_sentence_with_the_option_and_its_grammar(
    unetrt, option
):
    grammar = {"--size": "512", "--memory": "512MiB", "--workspace": "512MiB", "--precision": "fp1"}
    given = {"bench-matrix": (), "bench": ("no.onnx",), "predict": ("no.onnx", "no.png")}
    commands = [
        name
        for name, command in get_command(app).commands.items()
        if any(option in parameter.opts for parameter in command.params)
    ]
    assert commands
    for name in commands:
        run = unetrt(name, *given.get(name, ("no.onnx",)), option, "wide")
        (sentence,) = run.stderr.splitlines()
        assert run.exit_code == 2
        assert "wide" in sentence
        assert grammar[option] in sentence


def test_the_library_s_arguments_are_options_in_progress_too(capsys):
    ShownProgress().say("skipped a.png: take `tiling='blended'`")
    assert capsys.readouterr().err.strip().endswith("skipped a.png: take --tiling blended")


def test_as_json_a_value_that_cannot_be_read_is_json_too(unetrt):
    run = unetrt("train", "brain", "--out", "x", "--minutes", "0", "--json")
    assert run.exit_code == 2
    assert "--minutes" in json.loads(run.stdout)["error"]
    assert run.stderr.startswith("error: ")


def test_a_word_that_is_nearly_a_command(unetrt):
    assert "Did you mean 'predict'?" in unetrt("predct").output


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
