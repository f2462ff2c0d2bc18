"""A small client for OpenAI's chat completions and compatible APIs, for agents without the openai package."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ._current import innermost
from ._errors import IronCageError, error_from_answer
from ._http import Answer, Endpoint

if TYPE_CHECKING:
    from ._link import Transport

_RETRIES = 2
_LONGEST_WAIT_S = 60.0
# Transient statuses. A refusal of the cage (402, 403, 422) is not one.
_PASSING = frozenset({408, 409, 429, 500, 502, 503, 504, 529})


@dataclass(frozen=True)
class Reply:
    """A whole reply of a model."""

    text: str
    #: ``stop``, ``length``, ``tool_calls`` …
    finish_reason: str | None
    model: str
    input_tokens: int | None
    output_tokens: int | None
    #: The cost of the call, in US dollars; None outside a cage.
    cost_usd: Decimal | None


class ChatClient:
    """Calls ``chat/completions`` of the runtime it is made in, else at ``OPENAI_BASE_URL`` with ``OPENAI_API_KEY``.

    base_url, api_key: override these.
    timeout_s: how long the server may be silent, in seconds.

    A transient status (429, 5xx …) is retried twice, unless the server forbids it.
    """

    def __init__(self, base_url: str | None = None, api_key: str | None = None, *, timeout_s: float = 120.0) -> None:
        cage = innermost() if base_url is None else None
        url = base_url or os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
        if cage is not None:
            options = cage.link.client_options("openai")
            url, api_key = options["base_url"], api_key or options["api_key"]
        key = api_key or os.environ.get("OPENAI_API_KEY") or ""
        self._path = "/chat/completions"
        self._server: Transport = Endpoint(url, timeout_s=timeout_s)
        if cage is not None and cage.link.is_mocked:
            self._server, self._path = cage.link.server, url[len(cage.link.url) :] + self._path
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def complete(self, model: str, messages: Sequence[Mapping[str, Any]], **parameters: Any) -> Reply:
        """Returns the whole reply. ``parameters`` are those of the API: ``max_tokens=500, temperature=0``.

        Raises BudgetExceeded, PiiBlocked, PriceUnknown, CircuitOpen, ServerUnreachable, and IronCageError for
        other refusals of the provider.
        """
        body = _encode({"model": model, "messages": list(messages), **parameters})
        answer = self._until_answered(lambda: self._server.request("POST", self._path, self._headers, body))
        try:
            reply = json.loads(answer.body)
            choice = reply["choices"][0]
            usage = reply.get("usage") or {}
            return Reply(
                text=choice["message"].get("content") or "",
                finish_reason=choice.get("finish_reason"),
                model=reply.get("model", model),
                input_tokens=usage.get("prompt_tokens"),
                output_tokens=usage.get("completion_tokens"),
                cost_usd=_cost(answer),
            )
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise IronCageError("the reply is not a chat completion", code="provider_reply_invalid") from error

    def stream(self, model: str, messages: Sequence[Mapping[str, Any]], **parameters: Any) -> Iterator[str]:
        """Yields the pieces of the reply as they come. Raises the errors of ``complete``, also between two pieces.

        An incomplete reply raises: when the loop ends normally, the reply is complete.
        """
        body = _encode({"model": model, "messages": list(messages), **parameters, "stream": True})
        lines: Iterator[bytes] = iter(())

        def attempt() -> Answer:
            nonlocal lines
            answer, lines = self._server.stream(self._path, self._headers, body)
            if answer.status >= 400:
                answer.body = b"".join(lines)
            return answer

        self._until_answered(attempt)
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            data = line[5:].strip()
            if data == b"[DONE]":
                for _ in lines:  # to the end of the body, so that the connection can be used again
                    pass
                return
            frame = json.loads(data)
            if "error" in frame:
                raise error_from_answer(502, data, {})
            for choice in frame.get("choices", ()):
                if piece := choice.get("delta", {}).get("content"):
                    yield piece
        raise IronCageError("the reply broke off before its end", code="provider_reply_invalid")

    def _until_answered(self, attempt: Any) -> Answer:
        for retries_left in range(_RETRIES, -1, -1):
            answer: Answer = attempt()
            if answer.status < 400:
                return answer
            error = error_from_answer(answer.status, answer.body, answer.headers)
            wait_s = error.facts.get("retry_after_s") or 0.5 * 2 ** (_RETRIES - retries_left)
            final = answer.status not in _PASSING or answer.headers.get("x-should-retry") == "false"
            if final or retries_left == 0 or wait_s > _LONGEST_WAIT_S:
                raise error
            time.sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")


def _encode(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, allow_nan=False).encode()


def _cost(answer: Answer) -> Decimal | None:
    cost = answer.headers.get("x-iron-cage-cost-usd")
    return None if cost is None else Decimal(cost)
