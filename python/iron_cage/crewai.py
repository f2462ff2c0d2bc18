"""CrewAI in the cage: crews, tasks, tools and calls of models are lines in the event log, and tasks are the progress.

Its calls are counted, redacted and stopped without this. One line turns it on, before the crew starts:
``listener = IronCageListener()``.

Needs ``crewai`` (``pip install "iron-cage[crewai]"``) and is imported only by those who name it.
"""

from __future__ import annotations

import threading
from typing import Any

from crewai.events import BaseEventListener
from crewai.events.event_bus import CrewAIEventsBus
from crewai.events.types.crew_events import (
    CrewKickoffCompletedEvent,
    CrewKickoffFailedEvent,
    CrewKickoffStartedEvent,
)
from crewai.events.types.llm_events import LLMCallCompletedEvent, LLMCallFailedEvent
from crewai.events.types.task_events import TaskCompletedEvent, TaskFailedEvent, TaskStartedEvent
from crewai.events.types.tool_usage_events import ToolUsageErrorEvent, ToolUsageFinishedEvent

from ._run import event as record_event
from ._run import outcome, progress

__all__ = ["IronCageListener"]


class IronCageListener(BaseEventListener):
    """Writes the actions of CrewAI into the agent's event log. Make one and keep it; it listens from then on.

    Names of crews and tasks, roles of agents, models and tokens are reported; never a prompt, an answer or an argument of a
    tool. Without a cage it does nothing, and it never breaks a crew.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks = 0
        self._done = 0
        super().__init__()

    def setup_listeners(self, crewai_event_bus: CrewAIEventsBus) -> None:
        """CrewAI calls this to connect it."""
        on = crewai_event_bus.on

        @on(CrewKickoffStartedEvent)
        def crew_started(source: Any, event: CrewKickoffStartedEvent) -> None:
            # Several crews of one program are one work.
            with self._lock:
                self._tasks += len(source.tasks)
            record_event(
                f"crew {event.crew_name} started", kind="crew.started", crew=event.crew_name, tasks=len(source.tasks)
            )

        @on(CrewKickoffCompletedEvent)
        def crew_completed(source: Any, event: CrewKickoffCompletedEvent) -> None:
            record_event(
                f"crew {event.crew_name} done", kind="crew.ended", crew=event.crew_name, tokens=event.total_tokens
            )

        @on(CrewKickoffFailedEvent)
        def crew_failed(source: Any, event: CrewKickoffFailedEvent) -> None:
            record_event(f"crew {event.crew_name} failed", "ERROR", kind="crew.failed", crew=event.crew_name)

        @on(TaskStartedEvent)
        def task_started(source: Any, event: TaskStartedEvent) -> None:
            record_event(
                f"task {_name(source)} started", "DEBUG", kind="task.started", task=_name(source), role=_role(source)
            )

        @on(TaskCompletedEvent)
        def task_completed(source: Any, event: TaskCompletedEvent) -> None:
            with self._lock:
                self._done += 1
                done, total = self._done, self._tasks
            record_event(f"task {_name(source)} done", kind="task.ended", task=_name(source), role=_role(source))
            outcome("succeeded", label=_name(source), unit="task")
            progress(done, max(done, total), "tasks", _name(source))

        @on(TaskFailedEvent)
        def task_failed(source: Any, event: TaskFailedEvent) -> None:
            record_event(
                f"task {_name(source)} failed", "ERROR", kind="task.failed", task=_name(source), role=_role(source)
            )
            outcome("failed", label=_name(source), unit="task")

        @on(LLMCallCompletedEvent)
        def model_answered(source: Any, event: LLMCallCompletedEvent) -> None:
            usage = event.usage or {}
            tokens_in = usage.get("prompt_tokens") or usage.get("input_tokens") or 0
            tokens_out = usage.get("completion_tokens") or usage.get("output_tokens") or 0
            record_event(
                f"{event.model} answered: {tokens_in} tokens in, {tokens_out} out",
                kind="llm.ended",
                model=event.model,
                input_tokens=tokens_in,
                output_tokens=tokens_out,
            )

        @on(LLMCallFailedEvent)
        def model_failed(source: Any, event: LLMCallFailedEvent) -> None:
            record_event(f"{event.model} failed", "ERROR", kind="llm.failed", model=event.model)

        @on(ToolUsageFinishedEvent)
        def tool_done(source: Any, event: ToolUsageFinishedEvent) -> None:
            took = round((event.finished_at - event.started_at).total_seconds() * 1000)
            record_event(f"tool {event.tool_name} done", kind="tool.ended", tool=event.tool_name, latency_ms=took)

        @on(ToolUsageErrorEvent)
        def tool_failed(source: Any, event: ToolUsageErrorEvent) -> None:
            record_event(f"tool {event.tool_name} failed", "ERROR", kind="tool.failed", tool=event.tool_name)


def _name(task: Any) -> str:
    """A task's name; of one without, how its description begins."""
    return str(getattr(task, "name", None) or str(getattr(task, "description", "task"))[:60])


def _role(task: Any) -> str | None:
    role = getattr(getattr(task, "agent", None), "role", None)
    return None if role is None else str(role).strip()
