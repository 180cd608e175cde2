"""Besides the five jobs: what this machine can run."""

from tests.jobs.command_line import run_cli
from tests.jobs.snapshot import check_snapshot


def test_what_this_machine_can_run():
    found = run_cli("doctor", "--json").result
    check_snapshot(
        "doctor",
        found,
        unknown=["machine.*", "abilities.*.works", "*.packages.*", "*.install", "peers.*"],
    )
