"""LangChain outside of any cage, against the real program: it starts one, or refuses before a byte goes to a provider."""

from __future__ import annotations

import os
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from program import NEEDS_PROGRAM
from server import Server

import iron_cage._server
from iron_cage import AgentRuntime, BudgetExceeded, IronCageError, PiiBlocked

pytest.importorskip("langchain_openai")
from langchain_core.language_models import FakeListChatModel  # noqa: E402
from langchain_openai import ChatOpenAI, OpenAI  # noqa: E402

from iron_cage import IronCageCallbackHandler, IronCageChain  # noqa: E402

pytestmark = NEEDS_PROGRAM


@pytest.fixture(autouse=True)
def no_langsmith(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    for name in ("OPENAI_API_BASE", "ANTHROPIC_API_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def servers_end() -> Iterator[None]:
    """A chain's server stays until the program ends: here, until the test does."""
    yield
    for server in list(iron_cage._server._started.values()):
        server.release()


def model(**options: Any) -> ChatOpenAI:
    return ChatOpenAI(model="penny", max_completion_tokens=10, max_retries=0, **options)


def test_a_chain_of_a_model_made_before_starts_a_cage_with_its_budget(provider: Server) -> None:
    chain = IronCageChain(llm=model(), budget="0.015")
    assert chain.run("Hi") == "Write to [EMAIL_REDACTED]"
    with pytest.raises(BudgetExceeded) as caught:
        chain.run("Hi")
    assert caught.value.limit_usd == Decimal("0.015")
    assert len(provider.requests) == 1
    assert provider.requests[0].headers["authorization"] == "Bearer sk-of-the-test"
    assert "OPENAI_BASE_URL" not in os.environ


def test_a_chain_blocks_what_it_is_told_to_block_and_joins_the_runtime_around_it() -> None:
    before = model()
    with pytest.raises(PiiBlocked):
        IronCageChain(before, pii_detection="block").run("Hi")
    with AgentRuntime(budget="0.5") as runtime:
        assert IronCageChain(before, budget="0.4").run("Hi") == "Write to [EMAIL_REDACTED]"
        assert runtime.budget.spent == Decimal("0.01")


def test_a_chain_of_what_cannot_be_caged_raises_before_anything_is_asked(provider: Server) -> None:
    elsewhere = model(base_url=f"{provider.url}/v1")
    for llm in (FakeListChatModel(responses=["Hello"]), elsewhere):
        with pytest.raises(IronCageError, match="would not go through Iron Cage") as caught:
            IronCageChain(llm).run("Hi")
        assert caught.value.code == "not_caged"
    assert provider.requests == []
    with AgentRuntime(budget=1):
        assert IronCageChain(FakeListChatModel(responses=["Hello"])).run("Hi") == "Hello"


def test_a_text_model_is_caged_too(provider: Server) -> None:
    chain = IronCageChain(OpenAI(model="penny", max_tokens=10, max_retries=0), budget="0.001")
    with pytest.raises(BudgetExceeded):
        chain.run("Hi")
    assert provider.requests == []


def test_a_handler_opens_a_cage_for_models_made_after_it_and_refuses_those_made_before(provider: Server) -> None:
    before = model()
    handler = IronCageCallbackHandler(budget="0.015")
    try:
        assert model().invoke("Hi", config={"callbacks": [handler]}).content == "Write to [EMAIL_REDACTED]"
        assert handler.totals.calls == 1
        assert iron_cage.current_budget().spent == Decimal("0.01")
        with pytest.raises(IronCageError, match="it was created before the cage"):
            before.invoke("Hi", config={"callbacks": [handler]})
    finally:
        handler.close()
    assert "OPENAI_BASE_URL" not in os.environ
    assert len(provider.requests) == 1
