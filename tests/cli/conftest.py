import pytest
from typer.testing import CliRunner

from unetrt.__main__ import app


@pytest.fixture
def unetrt():
    """Run the command line in this process: unetrt("train", "brain", ...) -> result."""
    runner = CliRunner()
    return lambda *words: runner.invoke(app, [str(word) for word in words])
