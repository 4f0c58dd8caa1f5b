"""The files in deploy/ are ones that systemd and the product accept."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from coexist.base import config

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
UNITS: Final = sorted((DEPLOY / "systemd").iterdir())
PROGRAM: Final = "/opt/coexist/.venv/bin/coexist"


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_a_unit(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze to ask: install systemd")
    here = tmp_path / unit.name.replace("@.", "@1.")
    here.write_text(unit.read_text("utf-8").replace(PROGRAM, f"{Path(sys.executable).parent}/coexist"), "utf-8")
    told = subprocess.run(["systemd-analyze", "verify", here], capture_output=True, text=True, check=False)
    about_ours = [line for line in told.stderr.splitlines() if here.name in line]
    assert (told.returncode, about_ours) == (0, []), told.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_runs_a_command_that_there_is(unit: Path) -> None:
    (command,) = re.findall(rf"^ExecStart={PROGRAM} (.+)$", unit.read_text("utf-8"), re.MULTILINE)
    told = subprocess.run(
        [sys.executable, "-m", "coexist", *command.split(), "--help"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr


def test_the_example_of_settings_is_accepted() -> None:
    lines = (DEPLOY / "coexist.env.example").read_text("utf-8").splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    settings = config.load(given)
    config.require(settings, "app_secrets", "verify_token", "database_url", "secret_keys")
