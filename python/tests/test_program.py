"""Where the program is, and the command that leads to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from iron_cage import AgentRuntime, ServerUnreachable
from iron_cage._program import find_program

SCRIPT = Path(__file__).resolve().parents[1] / "no_program.py"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("IRON_CAGE_BIN", raising=False)
    (tmp_path / "venv").mkdir()
    (tmp_path / "path").mkdir()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path


def test_the_program_is_the_named_one_else_the_one_beside_python_else_the_one_on_the_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("path/iron-cage", "venv/iron-cage", "path/node"):
        (folder / place).touch(mode=0o755)
    assert find_program() == [str(folder / "venv/iron-cage")]
    (folder / "venv/iron-cage").unlink()
    assert find_program() == [str(folder / "path/iron-cage")]
    monkeypatch.setenv("IRON_CAGE_BIN", "/opt/iron-cage.cjs")
    assert find_program() == [str(folder / "path/node"), "/opt/iron-cage.cjs"]
    monkeypatch.setenv("IRON_CAGE_BIN", "/opt/iron-cage")
    assert find_program() == ["/opt/iron-cage"]


def test_the_script_of_the_pure_wheel_is_never_taken_for_the_program(folder: Path) -> None:
    (folder / "venv/iron-cage").write_text(SCRIPT.read_text().replace("#!python", "#!" + sys.executable))
    (folder / "venv/iron-cage").chmod(0o755)
    with pytest.raises(ServerUnreachable):
        find_program()
    (folder / "path/iron-cage").touch(mode=0o755)
    assert find_program() == [str(folder / "path/iron-cage")]


def test_where_there_is_no_program_runtime_and_command_say_how_to_get_it(folder: Path) -> None:
    with pytest.raises(ServerUnreachable, match="npm install -g iron-cage"):
        with AgentRuntime():
            pass


def test_the_command_becomes_the_program(tmp_path: Path) -> None:
    program = tmp_path / "iron-cage"
    program.write_text('#!/bin/sh\necho "$@"\nexit 7\n')
    program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/bin:/usr/bin", "PYTHONPATH": str(SCRIPT.parent)}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, SCRIPT, "status", "--json"], capture_output=True, text=True, env=environment
        )

    done = run()
    assert (done.returncode, done.stdout) == (7, "status --json\n")
    program.unlink()
    done = run()
    assert done.returncode == 1
    assert "npm install -g iron-cage" in done.stderr
