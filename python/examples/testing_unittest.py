"""An agent and its tests in one file, with the standard library only.

Shows: MockRuntime is an in-memory runtime: no server, no network, no cost. The agent is the real one, unchanged.
Start: python3 -m unittest -v python/examples/testing_unittest.py
Needs: nothing
"""

import unittest

import iron_cage
from iron_cage import MockRuntime
from iron_cage.testing import assert_budget_exceeded, assert_no_secrets_leaked, assert_pii_detected


def support_agent(questions: list[str]) -> list[str]:
    """The agent under test: answers questions, with a cheaper model when money gets short."""
    client = iron_cage.ChatClient()
    answers = []
    for done, question in enumerate(questions, start=1):
        model = "gpt-4o-mini" if iron_cage.current_budget().warned else "gpt-4o"
        answers.append(client.complete(model, [{"role": "user", "content": question}], max_tokens=100).text)
        iron_cage.progress(done, len(questions), "questions")
    return answers


class SupportAgent(unittest.TestCase):
    def test_answers_what_it_is_asked(self) -> None:
        with MockRuntime(budget=1) as runtime:
            runtime.llm.reply("Press the red button.")
            self.assertEqual(support_agent(["How do I switch it off?"]), ["Press the red button."])

    def test_takes_the_cheap_model_when_money_gets_short(self) -> None:
        with MockRuntime(budget=1) as runtime:
            runtime.llm.reply("Yes.", cost_usd="0.95")
            runtime.llm.reply("No.", cost_usd="0.01")
            support_agent(["Is it on?", "Is it off?"])
            self.assertEqual([call.model for call in runtime.calls], ["gpt-4o", "gpt-4o-mini"])

    def test_ends_when_the_budget_does(self) -> None:
        with MockRuntime(budget=1) as runtime, assert_budget_exceeded(limit=1):
            runtime.spend(1)
            support_agent(["Is it on?"])

    def test_never_passes_on_an_address(self) -> None:
        with MockRuntime() as runtime:
            runtime.llm.reply("Write to ada.101@example.com.")
            self.assertEqual(support_agent(["Whom do I ask?"]), ["Write to [EMAIL_REDACTED]."])
            assert_pii_detected(runtime, "email")
            assert_no_secrets_leaked(runtime)
