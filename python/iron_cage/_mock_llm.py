"""The replies of a mocked model, in the formats of OpenAI, Anthropic and Google."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Callable, Protocol, Union

#: A text, or a function of the list of messages.
MockAnswer = Union[str, Callable[[list[Any]], str]]


@dataclass(frozen=True)
class MockReply:
    """One answer that a mocked model gives."""

    answer: MockAnswer
    #: The cost of the call, in US dollars; None for the default of the model.
    cost_usd: Decimal | None = None
    #: Calls of tools in place of, or beside, the text: ``{"name": …, "arguments": {…}}``.
    tool_calls: tuple[dict[str, Any], ...] = ()
    #: An error status of the provider in place of an answer.
    status: int = 200


@dataclass(frozen=True)
class MockCall:
    """One call that an agent made."""

    provider: str
    model: str
    messages: list[Any]
    #: The answer to the agent, after redaction; None when it was refused, "" for embeddings.
    text: str | None
    cost_usd: Decimal
    #: Why it was refused, such as ``"budget_exceeded"``; None when it was answered.
    code: str | None = None


@dataclass
class MockLLM:
    """A model that gives the queued answers in order, and ``default`` after the last.

    default: a text, or a function of the list of messages.
    cost_usd: the cost of a call without one, in US dollars.
    """

    default: MockAnswer = "Mock reply."
    cost_usd: Decimal = Decimal("0.01")
    #: The cost of a request for embeddings, in US dollars. It takes no queued answer.
    embedding_cost_usd: Decimal = Decimal("0.0001")
    #: Every call so far, refused ones too.
    calls: list[MockCall] = field(default_factory=list)
    _queue: list[MockReply] = field(default_factory=list, repr=False)

    def reply(
        self,
        answer: MockAnswer,
        *,
        cost_usd: str | float | Decimal | None = None,
        tool_calls: tuple[dict[str, Any], ...] | list[dict[str, Any]] = (),
        times: int = 1,
    ) -> MockLLM:
        """Answers the next ``times`` calls so. Returns itself, so that calls can be chained."""
        cost = None if cost_usd is None else Decimal(str(cost_usd))
        self._queue += [MockReply(answer, cost, tuple(tool_calls))] * times
        return self

    def fail(self, status: int = 500, message: str = "mocked failure", *, times: int = 1) -> MockLLM:
        """Fails the next ``times`` calls as a provider does, with that HTTP status. A failure costs nothing."""
        self._queue += [MockReply(message, Decimal(0), (), status)] * times
        return self

    @property
    def pending(self) -> int:
        """Answers that are queued and not given yet."""
        return len(self._queue)

    @property
    def last(self) -> MockCall:
        """The call that was made last. Raises LookupError when there is none."""
        if not self.calls:
            raise LookupError("no call was made yet")
        return self.calls[-1]

    def next_reply(self) -> MockReply:
        """Returns the answer to the next call, without giving it away."""
        return self._queue[0] if self._queue else MockReply(self.default)

    def take_reply(self) -> None:
        """Gives the next answer away. A call that is refused before it is sent takes none."""
        del self._queue[:1]


def text_of(answer: MockAnswer, messages: list[Any]) -> str:
    return answer if isinstance(answer, str) else answer(messages)


@dataclass(frozen=True)
class _Said:
    """A model's reply, before it is written in a format."""

    text: str | None
    model: str
    tool_calls: tuple[dict[str, Any], ...]
    input_tokens: int
    output_tokens: int


class _Reply(Protocol):
    def __call__(
        self,
        text: str | None,
        *,
        model: str = ...,
        tool_calls: tuple[dict[str, Any], ...] | list[dict[str, Any]] = ...,
        input_tokens: int = ...,
        output_tokens: int = ...,
    ) -> dict[str, Any]: ...


def _reply_of(default_model: str) -> Callable[[Callable[[_Said], dict[str, Any]]], _Reply]:
    """Gives the writer of a format the parameters that all have."""

    def with_parameters(write: Callable[[_Said], dict[str, Any]]) -> _Reply:
        def reply(
            text: str | None,
            *,
            model: str = default_model,
            tool_calls: tuple[dict[str, Any], ...] | list[dict[str, Any]] = (),
            input_tokens: int = 10,
            output_tokens: int = 10,
        ) -> dict[str, Any]:
            return write(_Said(text, model, tuple(tool_calls), input_tokens, output_tokens))

        reply.__name__ = reply.__qualname__ = write.__name__
        reply.__doc__ = write.__doc__
        return reply

    return with_parameters


def _events(frames: list[dict[str, Any]], *, named: bool = False, line_end: str = "\n") -> bytes:
    """Server-sent events, named by their type where the format does so."""
    heads = [f"event: {frame['type']}{line_end}" if named else "" for frame in frames]
    events = (f"{head}data: {json.dumps(frame)}{line_end * 2}" for head, frame in zip(heads, frames))
    return "".join(events).encode()


@_reply_of("gpt-4o-mini")
def openai_reply(said: _Said) -> dict[str, Any]:
    """A whole chat completion of OpenAI, as its API answers it."""
    message: dict[str, Any] = {"role": "assistant", "content": said.text}
    if said.tool_calls:
        message["tool_calls"] = [
            {
                "id": f"call_mock{number}",
                "type": "function",
                "function": {"name": call["name"], "arguments": json.dumps(call.get("arguments", {}))},
            }
            for number, call in enumerate(said.tool_calls)
        ]
    return {
        "id": "chatcmpl-mock",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": said.model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": "tool_calls" if said.tool_calls else "stop",
                "logprobs": None,
            }
        ],
        "usage": {
            "prompt_tokens": said.input_tokens,
            "completion_tokens": said.output_tokens,
            "total_tokens": said.input_tokens + said.output_tokens,
        },
    }


@_reply_of("claude-sonnet-4-5")
def anthropic_reply(said: _Said) -> dict[str, Any]:
    """A whole message of Anthropic, as its API answers it."""
    content: list[dict[str, Any]] = [] if said.text is None else [{"type": "text", "text": said.text}]
    for number, call in enumerate(said.tool_calls):
        content.append(
            {"type": "tool_use", "id": f"toolu_mock{number}", "name": call["name"], "input": call.get("arguments", {})}
        )
    return {
        "id": "msg_mock",
        "type": "message",
        "role": "assistant",
        "model": said.model,
        "content": content,
        "stop_reason": "tool_use" if said.tool_calls else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": said.input_tokens, "output_tokens": said.output_tokens},
    }


def openai_stream(reply: dict[str, Any]) -> bytes:
    """The same, as it is streamed: server-sent events, a word each."""
    choice = reply["choices"][0]
    message = choice["message"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in _pieces(message["content"] or "")]
    if "tool_calls" in message:
        deltas.append({"tool_calls": [{"index": place, **call} for place, call in enumerate(message["tool_calls"])]})
    head = {**{name: reply[name] for name in ("id", "created", "model")}, "object": "chat.completion.chunk"}
    frames = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    frames.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]})
    frames.append({**head, "choices": [], "usage": reply["usage"]})
    return _events(frames) + b"data: [DONE]\n\n"


def anthropic_stream(reply: dict[str, Any]) -> bytes:
    """The same, as it is streamed: server-sent events, a word each."""
    usage = reply["usage"]
    frames: list[dict[str, Any]] = [
        {
            "type": "message_start",
            "message": {**reply, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}},
        }
    ]
    for index, block in enumerate(reply["content"]):
        if block["type"] == "text":
            start: dict[str, Any] = {"type": "text", "text": ""}
            deltas: list[dict[str, Any]] = [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"])]
        else:
            start = {**block, "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
        frames.append({"type": "content_block_start", "index": index, "content_block": start})
        frames += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        frames.append({"type": "content_block_stop", "index": index})
    end = {"stop_reason": reply["stop_reason"], "stop_sequence": None}
    frames.append({"type": "message_delta", "delta": end, "usage": {"output_tokens": usage["output_tokens"]}})
    frames.append({"type": "message_stop"})
    return _events(frames, named=True)


@_reply_of("gpt-4o-mini")
def openai_response(said: _Said) -> dict[str, Any]:
    """A whole response of OpenAI's responses API, as it answers it."""
    output: list[dict[str, Any]] = []
    if said.text is not None:
        part = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}
        output.append(
            {"type": "message", "id": "msg_mock", "role": "assistant", "status": "completed", "content": [part]}
        )
    for number, call in enumerate(said.tool_calls):
        output.append(
            {
                "type": "function_call",
                "id": f"fc_mock{number}",
                "call_id": f"call_mock{number}",
                "name": call["name"],
                "arguments": json.dumps(call.get("arguments", {})),
                "status": "completed",
            }
        )
    return {
        "id": "resp_mock",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": said.model,
        "output": output,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": said.input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": said.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": said.input_tokens + said.output_tokens,
        },
    }


def openai_response_stream(reply: dict[str, Any]) -> bytes:
    """The same, as it is streamed: server-sent events, a word each."""
    begun = {**reply, "status": "in_progress", "output": [], "usage": None}
    events: list[dict[str, Any]] = [
        {"type": f"response.{what}", "response": begun} for what in ("created", "in_progress")
    ]
    for index, item in enumerate(reply["output"]):
        events += _item_events(index, item)
    events.append({"type": "response.completed", "response": reply})
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(events)]
    return _events(numbered, named=True)


def _item_events(index: int, item: dict[str, Any]) -> list[dict[str, Any]]:
    place = {"item_id": item["id"], "output_index": index}
    if item["type"] == "message":
        (part,) = item["content"]
        at = {**place, "content_index": 0}
        empty: dict[str, Any] = {**item, "status": "in_progress", "content": []}
        events: list[dict[str, Any]] = [
            {"type": "response.content_part.added", **at, "part": {**part, "text": ""}},
            *(
                {"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []}
                for piece in _pieces(part["text"])
            ),
            {"type": "response.output_text.done", **at, "text": part["text"], "logprobs": []},
            {"type": "response.content_part.done", **at, "part": part},
        ]
    else:
        empty = {**item, "status": "in_progress", "arguments": ""}
        arguments = item["arguments"]
        events = [
            {"type": "response.function_call_arguments.delta", **place, "delta": arguments},
            {"type": "response.function_call_arguments.done", **place, "name": item["name"], "arguments": arguments},
        ]
    return [
        {"type": "response.output_item.added", "output_index": index, "item": empty},
        *events,
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


@_reply_of("gemini-2.5-flash")
def gemini_reply(said: _Said) -> dict[str, Any]:
    """A whole answer of Google's ``generateContent``."""
    parts: list[dict[str, Any]] = [] if said.text is None else [{"text": said.text}]
    parts += [{"functionCall": {"name": call["name"], "args": call.get("arguments", {})}} for call in said.tool_calls]
    return {
        "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": said.input_tokens,
            "candidatesTokenCount": said.output_tokens,
            "totalTokenCount": said.input_tokens + said.output_tokens,
        },
        "modelVersion": said.model,
        "responseId": "mock",
    }


def gemini_stream(reply: dict[str, Any]) -> bytes:
    """The same, as it is streamed: server-sent events, a word each."""
    (candidate,) = reply["candidates"]
    parts: list[dict[str, Any]] = []
    for part in candidate["content"]["parts"]:
        parts += [{"text": piece} for piece in _pieces(part["text"])] if "text" in part else [part]
    frames = []
    for place, part in enumerate(parts or [{"text": ""}]):
        is_last = place >= len(parts) - 1
        said = {
            "content": {"role": "model", "parts": [part]},
            "index": 0,
            **({"finishReason": "STOP"} if is_last else {}),
        }
        frames.append({**reply, "candidates": [said]})
    return _events(frames, line_end="\r\n")


def _pieces(text: str) -> list[str]:
    words = text.split(" ")
    return [word + (" " if place < len(words) - 1 else "") for place, word in enumerate(words) if text]
