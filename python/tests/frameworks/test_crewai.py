from __future__ import annotations

import json
import os
import unittest
from typing import Any

from beside import Answer, EventsTestCase

os.environ.update(CREWAI_DISABLE_TELEMETRY="true", CREWAI_TRACING_ENABLED="false", OTEL_SDK_DISABLED="true")

from crewai import LLM, Agent, Crew, Task  # noqa: E402
from crewai.events.event_bus import crewai_event_bus  # noqa: E402
from crewai.tools import tool  # noqa: E402

from iron_cage.crewai import IronCageListener  # noqa: E402

listener = IronCageListener()


@tool("double")
def double(number: int) -> int:
    """Twice a number."""
    return 2 * number


def completion(message: dict[str, Any]) -> Answer:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return Answer(
        200, {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    )


def crew(tools: Any = ()) -> Crew:
    agent = Agent(
        role="Clerk",
        goal="Answer",
        backstory="A secret.",
        llm=LLM(model="gpt-4o-mini"),
        tools=list(tools),
        max_retry_limit=0,
    )
    task = Task(name="sum", description="A secret question.", expected_output="A number", agent=agent)
    return Crew(name="office", agents=[agent], tasks=[task])


class Listener(EventsTestCase):
    def replies(self, *replies: Answer) -> None:
        waiting = list(replies)
        self.server.answer = lambda request: Answer(204) if "/api/run" in request.path else waiting.pop(0)

    def bodies(self, path: str) -> list:
        return [request.body for request in self.server.requests if request.path.endswith(path)]

    def test_crews_tasks_tools_and_models_are_lines_of_the_event_log(self) -> None:
        call = {"id": "c1", "type": "function", "function": {"name": "double", "arguments": '{"number": 123456}'}}
        self.replies(completion({"content": None, "tool_calls": [call]}), completion({"content": "a secret answer"}))
        self.assertEqual(crew([double]).kickoff().raw, "a secret answer")
        crewai_event_bus.flush()
        # Its bus calls listeners from threads of its own: the order is not ours.
        self.assertEqual(
            sorted(self.messages()),
            [
                "crew office done",
                "crew office started",
                "gpt-4o-mini answered: 7 tokens in, 3 out",
                "gpt-4o-mini answered: 7 tokens in, 3 out",
                "task sum done",
                "tool double done",
            ],
        )
        (outcome,) = self.bodies("/outcomes")
        self.assertEqual((outcome["outcome"], outcome["label"], outcome["unit"]), ("succeeded", "sum", "task"))
        (progress,) = self.bodies("/progress")
        self.assertEqual(progress["done"], progress["total"])
        reported = json.dumps([self.events(), outcome, progress])
        for secret in ("secret", "123456", "246912"):
            self.assertNotIn(secret, reported)

    def test_failures_are_told_too(self) -> None:
        self.replies(*[Answer(400, {"error": {"message": "a secret", "type": "invalid_request_error"}})] * 9)
        with self.assertRaises(Exception):  # noqa: B017  (which one is CrewAI's choice)
            crew().kickoff()
        crewai_event_bus.flush()
        failed = {message for message, level, _ in self.events() if level == "ERROR"}
        self.assertEqual(failed, {"crew office failed", "task sum failed", "gpt-4o-mini failed"})
        self.assertEqual([one["outcome"] for one in self.bodies("/outcomes")], ["failed"])


if __name__ == "__main__":
    unittest.main()
