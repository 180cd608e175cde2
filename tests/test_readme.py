"""The README's commands run, in its order, as they stand there but for the minutes."""

import re
import subprocess
import sys

import numpy as np
import pytest
import zarr

from tests.conftest import draw_disc, write_folder
from tests.jobs.command_line import run_cli
from tests.test_repository import ROOT

README = (ROOT / "README.md").read_text()
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
OURS = [line for line in COMMANDS if line.startswith("unetrt ")]


def test_ci_runs_what_the_readme_promises():
    recipes = {line for line in COMMANDS if line.startswith("make ")}
    assert {"make demo", "make test"} <= recipes
    ci = (ROOT / ".ci" / "run").read_text().splitlines()
    assert {"make demo", "make test"} <= set(ci)


def test_every_command_is_ours_or_make_s():
    assert len(OURS) >= 8
    others = {line.split()[0] for line in COMMANDS} - {"unetrt", "make"}
    assert others <= {"git", "cd", ".", "pip"}


def test_pictures_and_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) >= 5
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


@pytest.mark.tf
@pytest.mark.slow
def test_every_command_runs(tmp_path, monkeypatch):
    write_folder(tmp_path / "cells", sizes=((64, 80),) * 6)
    slide, _ = draw_disc(np.random.default_rng(0), 96, 128)
    zarr.save_array(tmp_path / "slide.zarr", slide)
    monkeypatch.chdir(tmp_path)
    for line in OURS:
        words = re.sub(r"--minutes \S+", "--minutes 0.2", line).split()
        run = run_cli(*words[1:])
        assert run.exit_code == 0, f"{line}\n{run.stderr}"
    (tmp_path / "cells" / "images" / "disc0.png").rename(tmp_path / "cell.png")
    (tmp_path / "cells" / "labels" / "disc0.png").unlink()
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(example.strip().splitlines()) <= 1 + 5  # an empty one behind the import
    quick = re.sub(r"minutes=\d+", "minutes=0.2", example)
    shown = f"{quick}\nprint(labels.dtype, labels.shape)"
    run = subprocess.run(
        [sys.executable, "-c", shown], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.stdout == "uint8 (64, 80)\n", run.stderr
