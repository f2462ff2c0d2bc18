"""The testing kit: the view of a project's own tests."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import iron_cage as ic
from iron_cage.testing import (
    MockLLM,
    MockRuntime,
    assert_budget_exceeded,
    assert_circuit_open,
    assert_no_secrets_leaked,
    assert_pii_detected,
    pii_sample,
    pii_samples,
)

pytest_plugins = ["pytester"]
HELLO = [{"role": "user", "content": "Hello?"}]


def ask(model: str = "gpt-4") -> str:
    return ic.ChatClient().complete(model, HELLO).text


def test_a_model_answers_what_it_was_told_in_order_and_then_its_default(iron_cage_llm: MockLLM) -> None:
    iron_cage_llm.reply("one").reply(lambda messages: messages[-1]["content"].upper(), times=2)
    assert [ask() for _ in range(4)] == ["one", "HELLO?", "HELLO?", "Mock reply."]
    assert (iron_cage_llm.pending, iron_cage_llm.last.model, len(iron_cage_llm.calls)) == (0, "gpt-4", 4)


def test_everything_of_the_package_talks_to_it(iron_cage: MockRuntime) -> None:
    ic.progress(1, 2, "leads")
    ic.outcome("succeeded", label="Acme")
    ic.event("hello", "WARN", fact=1)
    ic.checkpoint({"done": 1})
    ic.record_cost("serp_api", "0.25")
    assert ic.restore() == iron_cage.restore() == {"done": 1}
    assert ic.current_budget().spent_usd == iron_cage.budget.spent == Decimal("0.25")
    assert [event.type for event in iron_cage.events] == [
        "progress.updated",
        "unit.completed",
        "agent.output",
        "service.called",
    ]
    assert (iron_cage.metrics().succeeded, iron_cage.metrics().spent_usd) == (1, Decimal("0.25"))
    assert ic.scan("😀 ada@example.com").findings[0].start == 2


def test_what_is_asked_for_waits_for_the_test_to_decide(iron_cage: MockRuntime) -> None:
    asked = ic.request_budget(25, "for ada@example.com")
    assert (asked.state, asked.budget, asked.add_usd) == ("pending", "agent", Decimal(25))
    assert "ada@example.com" not in asked.reason
    assert ic.request_budget("25", "for ada@example.com") == asked
    iron_cage.approve(asked.id)
    assert ic.budget_request(asked.id).state == "approved"
    assert ic.current_budget().limit_usd == Decimal(125)
    again = ic.request_budget(25, "for ada@example.com")
    iron_cage.reject(again.id, "too much")
    assert (ic.budget_request(again.id).state, ic.budget_request(again.id).decision) == ("rejected", "too much")
    assert ic.current_budget().limit_usd == Decimal(125)
    with pytest.raises(ValueError, match="was rejected"):
        iron_cage.approve(again.id)
    with pytest.raises(KeyError):
        iron_cage.approve("other")
    for usd in (1, 2, 3):
        ic.request_budget(usd, "more")
    with pytest.raises(ic.IronCageError, match="wait for a decision"):
        ic.request_budget(4, "more")
    with pytest.raises(ic.IronCageError) as unknown:
        ic.budget_request("other")
    assert unknown.value.code == "not_found"
    assert [request.state for request in iron_cage.requests] == ["approved", "rejected", *["pending"] * 3]
    assert [event.type for event in iron_cage.events] == ["budget.requested"] * 5


def test_the_budget_refuses_before_the_answer_is_given_away(iron_cage: MockRuntime, iron_cage_llm: MockLLM) -> None:
    iron_cage.spend("99.5")
    iron_cage_llm.reply("dear", cost_usd=1)
    with assert_budget_exceeded(limit=100) as caught:
        ask()
    assert (caught.error.spent_usd, caught.error.needed_usd) == (Decimal("99.5"), Decimal(1))
    assert (iron_cage_llm.pending, iron_cage_llm.last.code) == (1, "budget_exceeded")


@pytest.mark.parametrize("mode, text", [(True, "to [EMAIL_REDACTED]"), (False, "to ada@example.com")])
def test_personal_data_is_redacted_or_only_counted(mode: bool, text: str) -> None:
    with MockRuntime(pii_detection=mode) as runtime:
        runtime.llm.reply("to ada@example.com")
        assert ask() == text
        assert_pii_detected(runtime, "email")


def test_a_blocked_reply_was_paid() -> None:
    with MockRuntime(pii_detection="block") as runtime:
        runtime.llm.reply("to ada@example.com")
        with pytest.raises(ic.PiiBlocked) as caught:
            ask()
        assert (caught.value.pii_types, runtime.budget.spent) == (("email",), Decimal("0.01"))


def test_a_failing_provider_opens_its_circuit(iron_cage: MockRuntime, iron_cage_llm: MockLLM) -> None:
    iron_cage_llm.fail(503, times=5)
    for _ in range(5):
        with pytest.raises(ic.IronCageError):
            ask()
    with assert_circuit_open("openai"):
        ask()
    iron_cage.pass_time(60)
    assert ask() == "Mock reply."
    assert iron_cage.budget.spent == Decimal("0.01")


def test_streams_come_in_pieces(iron_cage_llm: MockLLM) -> None:
    iron_cage_llm.reply("one two three")
    assert list(ic.ChatClient().stream("gpt-4", HELLO)) == ["one ", "two ", "three"]


def test_two_runs_of_a_test_see_the_same() -> None:
    def run() -> str:
        with MockRuntime(budget="0.02") as runtime:
            for _ in range(2):
                ask()
            with assert_budget_exceeded():
                ask()
            return json.dumps([[event.type, event.data] for event in runtime.events])

    assert run() == run()


@pytest.mark.iron_cage(listen=True)
def test_responses_are_answered_whole_streamed_and_with_tools(iron_cage_llm: MockLLM) -> None:
    responses: Any = pytest.importorskip("openai").OpenAI().responses
    iron_cage_llm.reply("write to ada@example.com", times=2)
    iron_cage_llm.reply("", tool_calls=[{"name": "search", "arguments": {"query": "x"}}])
    assert responses.create(model="gpt-4", input="Hi").output_text == "write to [EMAIL_REDACTED]"
    with responses.stream(model="gpt-4", input=[{"role": "user", "content": "Hi"}]) as stream:
        assert "".join(one.delta for one in stream if one.type.endswith("text.delta")) == "write to [EMAIL_REDACTED]"
        assert stream.get_final_response().usage.output_tokens == 10
    (call,) = responses.create(model="gpt-4", input="Hi").output
    assert (call.name, json.loads(call.arguments)) == ("search", {"query": "x"})
    assert [call.messages for call in iron_cage_llm.calls] == [[{"role": "user", "content": "Hi"}]] * 3


@pytest.mark.iron_cage(listen=True)
def test_embeddings_cost_little_and_are_near_for_texts_that_share_words(
    iron_cage: MockRuntime, iron_cage_llm: MockLLM
) -> None:
    client = pytest.importorskip("openai").OpenAI()
    iron_cage_llm.reply("kept for the next question")
    texts = ["a red apple", "a green apple", "the moon"]
    one, two, three = (item.embedding for item in client.embeddings.create(model="small", input=texts).data)

    def nearness(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b))

    assert nearness(one, two) > nearness(one, three)
    assert nearness(one, one) == pytest.approx(1)
    assert len(client.embeddings.create(model="small", input="x", dimensions=8).data[0].embedding) == 8
    assert (iron_cage_llm.pending, iron_cage.budget.spent) == (1, Decimal("0.0002"))


@pytest.mark.iron_cage(listen=True)
def test_gemini_is_answered_whole_streamed_and_embedded(iron_cage_llm: MockLLM) -> None:
    url = f"{os.environ['GOOGLE_GEMINI_BASE_URL']}/v1beta/models/gemini-2.5-flash"
    iron_cage_llm.reply("one two", times=2).reply("", tool_calls=[{"name": "search", "arguments": {"query": "x"}}])
    asked = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}

    def post(path: str, body: Any) -> str:
        request = urllib.request.Request(f"{url}:{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request) as response:
            return str(response.read().decode())

    assert json.loads(post("generateContent", asked))["candidates"][0]["content"]["parts"] == [{"text": "one two"}]
    frames = post("streamGenerateContent?alt=sse", asked).split("\r\n\r\n")[:-1]
    pieces = [json.loads(frame[len("data: ") :])["candidates"][0] for frame in frames]
    assert "".join(piece["content"]["parts"][0]["text"] for piece in pieces) == "one two"
    assert pieces[-1]["finishReason"] == "STOP"
    call = json.loads(post("generateContent", asked))["candidates"][0]["content"]["parts"][-1]["functionCall"]
    assert call == {"name": "search", "args": {"query": "x"}}
    batch = {"requests": [{"content": {"parts": [{"text": word}]}} for word in ("one", "two")]}
    assert len(json.loads(post("batchEmbedContents", batch))["embeddings"]) == 2
    assert [call.model for call in iron_cage_llm.calls] == ["gemini-2.5-flash"] * 4


@pytest.mark.iron_cage(listen=True, budget="0.05")
def test_clients_of_other_packages_call_it_as_they_are(iron_cage: MockRuntime, iron_cage_llm: MockLLM) -> None:
    openai, anthropic = pytest.importorskip("openai"), pytest.importorskip("anthropic")
    iron_cage_llm.reply("hello", times=2).reply("", tool_calls=[{"name": "search", "arguments": {"query": "x"}}])
    chat: Any = openai.OpenAI().chat.completions
    assert chat.create(model="gpt-4", messages=HELLO).choices[0].message.content == "hello"
    with anthropic.Anthropic().messages.stream(model="claude", max_tokens=9, messages=HELLO) as stream:
        assert stream.get_final_text() == "hello"
    calls = chat.create(model="gpt-4", messages=HELLO).choices[0].message.tool_calls
    assert json.loads(calls[0].function.arguments) == {"query": "x"}

    async def ask_async() -> Any:
        return await openai.AsyncOpenAI().chat.completions.create(model="gpt-4", messages=HELLO)

    asyncio.run(ask_async())
    asyncio.run(ask_async())
    with assert_budget_exceeded(limit="0.05"):  # the client's own exception
        chat.create(model="gpt-4", messages=HELLO)


def test_assertions_fail_when_nothing_happened() -> None:
    with pytest.raises(AssertionError, match="budget was not exceeded"), assert_budget_exceeded():
        pass
    with pytest.raises(AssertionError, match="no circuit was open"), assert_circuit_open():
        pass
    with pytest.raises(AssertionError, match=r"limit of \$1 refused"), assert_budget_exceeded(limit=2):
        raise ic.BudgetExceeded("no", facts={"limit_usd": "1"})
    with pytest.raises(AssertionError, match="phone was not detected; what was: email"):
        assert_pii_detected("ada@example.com", "phone")
    with pytest.raises(KeyError), assert_budget_exceeded():
        raise KeyError


def test_leaked_secrets_are_found_and_not_told_again(iron_cage: MockRuntime) -> None:
    key = pii_sample("secret").value
    ic.event("harmless")
    assert_no_secrets_leaked(iron_cage, "nothing", ValueError("no"), secrets=["hunter2"])
    ic.event(f"my key is {key}")
    for leaky, secrets in (
        (iron_cage, ()),
        ({"key": key}, ()),
        (f"pass {'hunter2'}", ("hunter2",)),
        (ValueError(key), ()),
    ):
        with pytest.raises(AssertionError) as caught:
            assert_no_secrets_leaked(leaky, secrets=secrets)
        assert key not in str(caught.value) and "hunter2" not in str(caught.value)


def test_samples_are_made_up_found_and_the_same_for_the_same_seed() -> None:
    for sample in pii_samples(120):
        assert sample.text[sample.start : sample.end] == sample.value
        assert_pii_detected(sample.text, sample.type)
    assert pii_samples(12, seed=1) == pii_samples(12, seed=1) != pii_samples(12, seed=2)
    with pytest.raises(ValueError, match="credit_card"):
        pii_sample("fax")


def test_the_plugin_brings_its_fixtures_to_a_project(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(ic.__file__).parents[1]))
    pytester.makeconftest('pytest_plugins = ["iron_cage.testing"]')
    pytester.makepyfile(
        """
        import pytest, iron_cage as package

        @pytest.mark.iron_cage(budget=2)
        def test_marked(iron_cage, iron_cage_budget, iron_cage_llm):
            assert iron_cage_budget == iron_cage.budget.limit == 2
            assert package.current_runtime() is iron_cage

        class TestOverridden:
            @pytest.fixture
            def iron_cage_budget(self):
                return 3

            @pytest.fixture
            def budget(self):
                return "the project's own"

            def test_overridden(self, iron_cage):
                assert iron_cage.budget.limit == 3
        """
    )
    pytester.runpytest_subprocess("--strict-markers").assert_outcomes(passed=2)
