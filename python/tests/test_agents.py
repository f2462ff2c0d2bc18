"""``Runtime``: agents that a program starts, as processes of the real server."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from decimal import Decimal
from pathlib import Path

import pytest
from program import NEEDS_PROGRAM, ROOT

from iron_cage import IronCageError, Runtime

pytestmark = NEEDS_PROGRAM

ASKS = """
    import sys, iron_cage
    for _ in range(int(sys.argv[1])):
        print(iron_cage.ChatClient().complete("penny", [{"role": "user", "content": "Hi"}], max_tokens=10).text, flush=True)
"""
SLEEPS = "import time; print('sleeping', flush=True); time.sleep(600)"


def script(folder: Path, name: str, code: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text(textwrap.dedent(code))
    return path


def test_agents_share_one_budget_and_their_figures_are_read(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Runtime(budget="0.025", verbose=True) as runtime:
        first = runtime.start_agent(script(folder, "word_counter", ASKS), "1", name="counter")
        assert first.startswith("wc-")
        assert runtime.wait(first, 60) == "completed"
        metrics = runtime.get_metrics(first)
        assert (metrics["state"], metrics["spent_usd"]) == ("completed", Decimal("0.01"))
        second = runtime.start_agent(folder / "word_counter.py", "5")
        assert runtime.wait(second, 60) == "budget_stopped"
        # Of the $0.015 that the first left, one call more.
        assert runtime.get_metrics(second)["spent_usd"] == Decimal("0.01")
    printed = capfd.readouterr().err
    assert "Write to [EMAIL_REDACTED]" in printed and "ada@company" not in printed


def test_a_stopped_agent_is_gone_and_stopping_it_again_does_nothing(folder: Path) -> None:
    runtime = Runtime()
    try:
        agent = runtime.start_agent(script(folder, "sleeper", SLEEPS))
        runtime.stop_agent(agent)
        assert runtime.wait(agent) == "stopped"
        runtime.stop_agent(agent)
        with pytest.raises(IronCageError, match="there is no agent"):
            runtime.get_metrics("nobody-00000000")
        with pytest.raises(IronCageError) as caught:
            runtime.start_agent("missing.py")
        assert caught.value.code == "script_not_found"
    finally:
        runtime.close()


def test_the_name_of_the_documents_works_too_and_an_agent_cannot_start_agents() -> None:
    code = "from iron_runtime import Runtime; Runtime(5).start_agent('x.py')"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "IRON_CAGE_URL": "http://127.0.0.1:9"}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "this program is an agent itself" in ended.stderr
