"""Strategies and deployments from Python, against the real program."""

from __future__ import annotations

from pathlib import Path

import pytest

from iron_cage import IronCageError
from iron_cage.deployment.strategies import DeploymentFactory, StrategyRegistry

AGENT = """\
import json, os, urllib.request

def predict(inputs):
    if inputs == "fail":
        raise ValueError("no such lead")
    body = {"model": "penny", "max_tokens": 10, "messages": [{"role": "user", "content": inputs["question"]}]}
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(body).encode(),
        {"content-type": "application/json"})
    with urllib.request.urlopen(request) as reply:
        return {"answer": json.load(reply)["choices"][0]["message"]["content"]}
"""


def test_the_registry_lists_what_is_allowed_and_gives_both_instructions(folder: Path) -> None:
    registry = StrategyRegistry.get()
    assert registry is StrategyRegistry.get()
    assert registry.list_strategies() == ["bentoml", "docker", "langgraph", "local", "modal"]
    assert registry.list_strategies(allowed=["local", "modal", "nothing"]) == ["local", "modal"]
    assert "## Best For" in registry.get_selector_instruction("docker")
    assert "## Deploy command" in registry.get_adapter_instruction("docker")
    with pytest.raises(IronCageError) as refused:
        registry.get_selector_instruction("nothing")
    assert refused.value.code == "not_found"


def test_a_deployed_agent_is_called_asked_and_stopped(folder: Path) -> None:
    (folder / "agent.py").write_text(AGENT)
    with DeploymentFactory.create("agent.py", budget=5) as agent:
        assert agent.run({"question": "Who?"}) == {"answer": "Write to [EMAIL_REDACTED]"}
        assert agent.is_healthy()
        assert agent.status == "running"
        assert "ready for calls" in agent.get_logs()
        with pytest.raises(IronCageError, match="no such lead") as failed:
            agent.run("fail")
        assert failed.value.code == "deployment_failed"
    assert not agent.is_healthy()
    agent.stop()


def test_an_agent_that_cannot_be_deployed_is_an_error_that_says_why(folder: Path) -> None:
    (folder / "agent.py").write_text("def predict(inputs): ...\n")
    with pytest.raises(IronCageError, match="cannot be deployed with bentoml here"):
        DeploymentFactory.create("agent.py", "bentoml")
    with pytest.raises(IronCageError) as missing:
        DeploymentFactory.create("nowhere.py")
    assert missing.value.code == "script_not_found"
