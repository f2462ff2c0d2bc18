"""LangChain and LangGraph in the cage: the event log shows the actions of a chain, and refusals of the cage have names.

Under ``iron-cage start`` and in an ``AgentRuntime`` calls are counted, redacted and stopped without any of this, because
LangChain's models read ``OPENAI_BASE_URL`` and ``ANTHROPIC_BASE_URL``. Two things are added:

- ``IronCageCallbackHandler`` writes the actions of a chain into the event log, one line each: models asked, tokens,
  tools, retries, errors. Never a prompt, an answer or an argument of a tool.
- ``IronCageChain`` is a model, or any other runnable, with a prompt, tools and a memory around it. Its events are
  reported, and a refusal of the cage comes as ``BudgetExceeded``, ``PiiBlocked``, ``CircuitOpen`` and so on.

Outside of a cage both start one. What cannot be caged raises IronCageError with the code ``not_caged``.

Needs ``langchain-core`` (``pip install "iron-cage[langchain]"``) and is imported at the first use of one of the two.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator, MutableSequence, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Union
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.language_models import BaseLanguageModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    BaseMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
    convert_to_messages,
    message_chunk_to_message,
)
from langchain_core.outputs import LLMResult
from langchain_core.prompt_values import PromptValue
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool
from langchain_core.tools import tool as make_tool

from ._cage import Cage, is_main_thread
from ._current import current_link, is_caged
from ._errors import IronCageError, refusal_in
from ._langchain_models import at_gateway, can_move, not_caged, require_caged
from ._protect import Guard, ProtectedCall
from ._run import event
from ._runtime import limit_of, new_cage
from ._wrap import wrap

if TYPE_CHECKING:
    from ._runtime import Money, PiiDetection

__all__ = ["IronCageCallbackHandler", "IronCageChain", "Totals"]


@dataclass
class Totals:
    """The counts of a handler so far."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    #: Calls of tools that ended well.
    tools: int = 0
    retries: int = 0
    #: Of models, tools and whole chains; one that passes through all three counts three times.
    errors: int = 0


@dataclass
class _Running:
    name: str
    began: float = field(default_factory=time.monotonic)
    first_token_ms: int | None = None


class EventHandler(BaseCallbackHandler):
    """Writes the actions of LangChain into the agent's event log. Safe for threads and asyncio."""

    def __init__(self) -> None:
        self.totals: Totals = Totals()
        self._running: dict[UUID, _Running] = {}
        self._lock = threading.Lock()

    # Models

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], *, run_id: UUID, **known: Any
    ) -> None:
        self._model_begins(run_id, serialized, known, messages=sum(len(one) for one in messages))

    def on_llm_start(self, serialized: dict[str, Any], prompts: list[str], *, run_id: UUID, **known: Any) -> None:
        self._model_begins(run_id, serialized, known, messages=len(prompts))

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **known: Any) -> None:
        running = self._running.get(run_id)
        if running is not None and running.first_token_ms is None:
            running.first_token_ms = _milliseconds_since(running.began)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **known: Any) -> None:
        running = self._ends(run_id)
        tokens_in, tokens_out = _tokens_of(response)
        with self._lock:
            self.totals.calls += 1
            self.totals.input_tokens += tokens_in
            self.totals.output_tokens += tokens_out
        event(
            f"{running.name} answered: {tokens_in} tokens in, {tokens_out} out",
            kind="llm.ended",
            model=running.name,
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            latency_ms=_milliseconds_since(running.began),
            first_token_ms=running.first_token_ms,
        )

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **known: Any) -> None:
        self._fails("llm.failed", run_id, error)

    # Tools and retrievers

    def on_tool_start(self, serialized: dict[str, Any], input_str: str, *, run_id: UUID, **known: Any) -> None:
        running = self._begins(run_id, _name_of(serialized, known))
        self._notice_retry(running, known)
        event(f"tool {running.name} called", "DEBUG", kind="tool.started", tool=running.name)

    def on_tool_end(self, output: Any, *, run_id: UUID, **known: Any) -> None:
        running = self._ends(run_id)
        with self._lock:
            self.totals.tools += 1
        took = _milliseconds_since(running.began)
        event(f"tool {running.name} done", kind="tool.ended", tool=running.name, latency_ms=took)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **known: Any) -> None:
        self._fails("tool.failed", run_id, error)

    def on_retriever_start(self, serialized: dict[str, Any], query: str, *, run_id: UUID, **known: Any) -> None:
        self._begins(run_id, _name_of(serialized, known))

    def on_retriever_end(self, documents: Sequence[Any], *, run_id: UUID, **known: Any) -> None:
        running = self._ends(run_id)
        took = _milliseconds_since(running.began)
        event(f"{len(documents)} documents found", kind="retriever.ended", documents=len(documents), latency_ms=took)

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **known: Any) -> None:
        self._fails("retriever.failed", run_id, error)

    # Chains: only the outermost is reported; those within show up as their models and tools.

    def on_chain_start(
        self,
        serialized: dict[str, Any],
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **known: Any,
    ) -> None:
        name = _name_of(serialized, known)
        if parent_run_id is None:
            self._begins(run_id, name)
            event(f"{name} started", "DEBUG", kind="chain.started", chain=name)
        else:
            self._notice_retry(_Running(name), known)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **known: Any) -> None:
        if parent_run_id is None:
            running = self._ends(run_id)
            took = _milliseconds_since(running.began)
            event(f"{running.name} done", kind="chain.ended", chain=running.name, latency_ms=took)

    def on_chain_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **known: Any
    ) -> None:
        if parent_run_id is None:
            self._fails("chain.failed", run_id, error)

    def on_retry(self, retry_state: Any, *, run_id: UUID, **known: Any) -> None:
        running = self._running.get(run_id) or _Running("chain")
        self._retries(running.name, int(retry_state.attempt_number) + 1)

    def _model_begins(self, run_id: UUID, serialized: dict[str, Any], known: dict[str, Any], *, messages: int) -> None:
        parameters = known.get("invocation_params") or {}
        model = parameters.get("model") or parameters.get("model_name") or _name_of(serialized, known)
        running = self._begins(run_id, str(model))
        self._notice_retry(running, known)
        event(f"{model} asked", "DEBUG", kind="llm.started", model=model, messages=messages)

    def _begins(self, run_id: UUID, name: str) -> _Running:
        running = self._running[run_id] = _Running(name)
        return running

    def _ends(self, run_id: UUID) -> _Running:
        return self._running.pop(run_id, None) or _Running("chain")

    def _fails(self, kind: str, run_id: UUID, error: BaseException) -> None:
        running = self._ends(run_id)
        with self._lock:
            self.totals.errors += 1
        refusal = refusal_in(error)
        # Its class and our code: the text of an exception may quote a prompt.
        why = type(error).__name__ if refusal is None else refusal.code
        event(f"{running.name} failed: {why}", "ERROR", kind=kind, name=running.name, error=why)

    def _notice_retry(self, running: _Running, known: dict[str, Any]) -> None:
        """``with_retry`` marks its attempts by a tag only."""
        for tag in known.get("tags") or ():
            if tag.startswith(_ATTEMPT) and tag[len(_ATTEMPT) :] != "1":
                self._retries(running.name, int(tag[len(_ATTEMPT) :]))

    def _retries(self, name: str, attempt: int) -> None:
        with self._lock:
            self.totals.retries += 1
        event(f"{name} tried again (attempt {attempt})", "WARN", kind="retried", name=name, attempt=attempt)


class IronCageCallbackHandler(EventHandler):
    """Writes the actions of LangChain into the agent's event log, and opens a cage if there is none.

    ``model.invoke("…", config={"callbacks": [IronCageCallbackHandler()]})``, or of a whole chain, agent or graph: its
    parts inherit it. Safe for threads and asyncio.

    budget: hard limit in US dollars. (Default: that of the cage around it; 100 without one.)
    pii_detection: as ``AgentRuntime``.

    Outside of a cage, or with a budget, it opens one for all code that follows, as ``with AgentRuntime(budget)`` does for a
    block, until ``close`` or the end of the program. A handler cannot move calls: models must be created after it. One that
    was created before raises IronCageError, ``not_caged``, when it is asked, before it calls its provider.
    """

    #: LangChain logs a handler's exceptions and goes on otherwise: the call would be made.
    raise_error = True

    def __init__(self, budget: Money | None = None, *, pii_detection: PiiDetection | None = None) -> None:
        super().__init__()
        limit = limit_of(budget)
        self._cage: Cage | None = None
        if limit is not None or not is_caged():
            self._cage = new_cage(limit, pii_detection, None, None)
            self._cage.open(is_main_thread())
            self._cage.enter()
            atexit.register(self.close)

    def close(self) -> None:
        """Closes the cage that it opened, if it did; calls of models created since then fail."""
        cage, self._cage = self._cage, None
        if cage is not None:
            atexit.unregister(self.close)
            cage.leave()
            cage.close(None)

    def _model_begins(self, run_id: UUID, serialized: dict[str, Any], known: dict[str, Any], *, messages: int) -> None:
        require_caged(serialized)
        super()._model_begins(run_id, serialized, known, messages=messages)


_ATTEMPT = "retry:attempt:"


def _name_of(serialized: dict[str, Any] | None, known: dict[str, Any]) -> str:
    serialized = serialized or {}
    return str(known.get("name") or serialized.get("name") or (serialized.get("id") or ["chain"])[-1])


def _tokens_of(response: LLMResult) -> tuple[int, int]:
    for generation in (one for several in response.generations for one in several):
        usage = getattr(getattr(generation, "message", None), "usage_metadata", None)
        if usage:
            return int(usage["input_tokens"]), int(usage["output_tokens"])
    usage = (response.llm_output or {}).get("token_usage") or {}
    return int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)


def _milliseconds_since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


# A step of a conversation, which its driver carries out: the model's reply to messages, or the result of a tool.
_Step = Union["list[BaseMessage]", ToolCall]


class IronCageChain(Runnable[Any, Any]):
    """A model in the cage, with a prompt, tools and a memory around it as wanted.

    llm: a chat model, a text model, or any other runnable that takes messages.
    prompt: a prompt template, or its text (``"Translate to {language}: {text}"``).
    tools: LangChain tools or plain functions with a docstring. They are run until the model asks for none any more.
    memory: a list of messages, or one of LangChain's chat message histories. Its messages come before each question;
        the question and its final answer are added to it.
    max_steps: how often the model is asked at most in one run. (Default: 10.)
    budget: hard limit in US dollars of all runs of this chain together. (Default: that of the cage around it; 100 without
        one.)
    pii_detection: as ``AgentRuntime``.

    Outside of a cage its first run starts one, which stays until the program ends. Models of ``langchain-openai`` and
    ``langchain-anthropic`` may have been created before: a copy calls the gateway. Another runnable, or a model with an
    address of its own, raises IronCageError, ``not_caged``; inside of a cage it is used as it is.

    Input: text, a message, a list of messages, a prompt's value, a dict with the prompt's variables, or without a prompt
    a dict with ``messages`` or ``input``. Output: the model's result, usually a message; ``run`` returns its text.

    It is a runnable like any other: ``prompt | IronCageChain(llm=model) | parser``, ``with_retry``, ``batch``, ``astream``.
    Refusals of the cage are raised as ``BudgetExceeded``, ``PiiBlocked``, ``CircuitOpen``, ``PriceUnknown`` …; the errors
    of a provider as the provider's SDK raises them.
    """

    def __init__(
        self,
        llm: BaseLanguageModel[Any] | Runnable[Any, Any],
        prompt: str | Runnable[Any, PromptValue] | None = None,
        tools: Sequence[Any] = (),
        memory: MutableSequence[BaseMessage] | BaseChatMessageHistory | None = None,
        max_steps: int = 10,
        *,
        budget: Money | None = None,
        pii_detection: PiiDetection | None = None,
    ) -> None:
        self.handler: EventHandler = EventHandler()
        self.memory = memory
        self._guard = Guard(limit_of(budget), pii_detection, None, None)
        self._prompt = ChatPromptTemplate.from_template(prompt) if isinstance(prompt, str) else prompt
        self._tools: dict[str, BaseTool] = {}
        for one in tools:
            runnable = one if isinstance(one, BaseTool) else make_tool(one)
            self._tools[runnable.name] = runnable
        self._llm: Any = llm
        self._with_tools(llm)  # fails at once when tools are given without a chat model
        #: The model that was used last, and the one made of it for an address.
        self._used: tuple[str, Any] | None = None
        self._max_steps = max_steps

    @property
    def totals(self) -> Totals:
        """Calls, tokens, tools, retries and errors so far."""
        return self.handler.totals

    def run(self, input: Any = None, **variables: Any) -> str:
        """Invokes it and returns the text of the answer: ``chain.run("…")`` or ``chain.run(language="…", text="…")``."""
        return _text_of(self.invoke(variables if input is None else input))

    def invoke(self, input: Any, config: RunnableConfig | None = None, **parameters: Any) -> Any:
        call = self._caged(self._call_with_config)
        return call(self._answer, input, self._heard(config), **parameters)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **parameters: Any) -> Any:
        call = self._caged(self._acall_with_config)
        return await call(self._aanswer, input, self._heard(config), **parameters)

    def stream(self, input: Any, config: RunnableConfig | None = None, **parameters: Any) -> Iterator[Any]:
        """Yields the pieces of every message of the model as they come, those that ask for tools included."""
        yield from self.transform(iter([input]), config, **parameters)

    async def astream(self, input: Any, config: RunnableConfig | None = None, **parameters: Any) -> AsyncIterator[Any]:
        async def given() -> AsyncIterator[Any]:
            yield input

        async for piece in self.atransform(given(), config, **parameters):
            yield piece

    def transform(self, input: Iterator[Any], config: RunnableConfig | None = None, **parameters: Any) -> Iterator[Any]:
        stream = self._caged(self._transform_stream_with_config)
        yield from stream(input, self._pieces, self._heard(config), **parameters)

    async def atransform(
        self, input: AsyncIterator[Any], config: RunnableConfig | None = None, **parameters: Any
    ) -> AsyncIterator[Any]:
        stream = self._caged(self._atransform_stream_with_config)
        async for piece in stream(input, self._apieces, self._heard(config), **parameters):
            yield piece

    def _caged(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """The method in the chain's cage. Raises IronCageError when its calls would not go through it."""
        if not is_caged() and not can_move(self._llm):
            raise not_caged(type(self._llm).__name__, "its address is not known to be a provider's")
        return wrap(method, lambda: ProtectedCall(self._guard))

    def _model(self) -> Any:
        """The model at the address of the cage that the calling code is inside of."""
        if not is_caged():
            return self._with_tools(self._llm)
        link = current_link()
        used = self._used
        if used is None or used[0] != link.gateway_url(""):
            used = self._used = (link.gateway_url(""), self._with_tools(at_gateway(self._llm, link)))
        return used[1]

    def _with_tools(self, model: Any) -> Any:
        return model.bind_tools(list(self._tools.values())) if self._tools else model

    # Four ways to drive one conversation: at once or in pieces, each with threads or asyncio.

    def _answer(self, given: Any, run_manager: Any, config: RunnableConfig, **parameters: Any) -> Any:
        conversation = self._conversation(given, config)
        reply: Any = None
        while True:
            try:
                step = conversation.send(reply)
            except StopIteration as end:
                return end.value
            if isinstance(step, list):
                reply = self._model().invoke(step, config, **parameters)
            else:
                reply = self._tools[step["name"]].invoke(_with_type(step), config)

    async def _aanswer(self, given: Any, run_manager: Any, config: RunnableConfig, **parameters: Any) -> Any:
        conversation = self._conversation(given, config)
        reply: Any = None
        while True:
            try:
                step = conversation.send(reply)
            except StopIteration as end:
                return end.value
            if isinstance(step, list):
                reply = await self._model().ainvoke(step, config, **parameters)
            else:
                reply = await self._tools[step["name"]].ainvoke(_with_type(step), config)

    def _pieces(
        self, given: Iterator[Any], run_manager: Any, config: RunnableConfig, **parameters: Any
    ) -> Iterator[Any]:
        conversation = self._conversation(_sum(list(given)), config)
        reply: Any = None
        while True:
            try:
                step = conversation.send(reply)
            except StopIteration:
                return
            if isinstance(step, list):
                reply = None
                for piece in self._model().stream(step, config, **parameters):
                    reply = piece if reply is None else reply + piece
                    yield piece
            else:
                reply = self._tools[step["name"]].invoke(_with_type(step), config)

    async def _apieces(
        self, given: AsyncIterator[Any], run_manager: Any, config: RunnableConfig, **parameters: Any
    ) -> AsyncIterator[Any]:
        conversation = self._conversation(_sum([one async for one in given]), config)
        reply: Any = None
        while True:
            try:
                step = conversation.send(reply)
            except StopIteration:
                return
            if isinstance(step, list):
                reply = None
                async for piece in self._model().astream(step, config, **parameters):
                    reply = piece if reply is None else reply + piece
                    yield piece
            else:
                reply = await self._tools[step["name"]].ainvoke(_with_type(step), config)

    def _conversation(self, given: Any, config: RunnableConfig) -> Generator[_Step, Any, Any]:
        """Yields messages for the model and calls of tools, is sent the results, and returns the last reply."""
        asked = self._messages(given, config)
        messages = self._with_memory(asked)
        for _ in range(self._max_steps):
            reply = yield list(messages)
            if isinstance(reply, BaseMessageChunk):
                reply = message_chunk_to_message(reply)
            calls = reply.tool_calls if self._tools and isinstance(reply, AIMessage) else []
            if not calls:
                self._remember(asked, reply)
                return reply
            messages.append(reply)
            for call in calls:
                messages.append((yield call) if call["name"] in self._tools else _no_such_tool(call))
        raise IronCageError(
            f"the model still asks for tools after {self._max_steps} turns",
            code="too_many_steps",
            hint="raise max_steps, or give it fewer tools",
        )

    def _messages(self, given: Any, config: RunnableConfig) -> list[BaseMessage]:
        if self._prompt is not None:
            given = self._prompt.invoke(given, config)
        elif isinstance(given, dict):
            if "messages" not in given and "input" not in given:
                raise TypeError(f'without a prompt, expected a dict with "messages" or "input", got {sorted(given)}')
            given = given["messages"] if "messages" in given else given["input"]
        if isinstance(given, PromptValue):
            return given.to_messages()
        if isinstance(given, (str, BaseMessage)):
            given = [given]
        return list(convert_to_messages(given))

    def _with_memory(self, asked: list[BaseMessage]) -> list[BaseMessage]:
        if self.memory is None:
            return list(asked)
        begin = 0
        while begin < len(asked) and isinstance(asked[begin], SystemMessage):
            begin += 1
        earlier = self.memory.messages if isinstance(self.memory, BaseChatMessageHistory) else self.memory
        return [*asked[:begin], *earlier, *asked[begin:]]

    def _remember(self, asked: list[BaseMessage], reply: Any) -> None:
        if self.memory is None:
            return
        answer = reply if isinstance(reply, AIMessage) else AIMessage(_text_of(reply))
        said = [*(one for one in asked if isinstance(one, HumanMessage)), answer]
        if isinstance(self.memory, BaseChatMessageHistory):
            self.memory.add_messages(said)
        else:
            self.memory.extend(said)

    def _heard(self, config: RunnableConfig | None) -> RunnableConfig:
        """The caller's configuration with our handler, unless it listens already."""
        callbacks = (config or {}).get("callbacks")
        if callbacks is None:
            mine: Any = [self.handler]
        elif isinstance(callbacks, list):
            known = any(isinstance(one, EventHandler) for one in callbacks)
            mine = callbacks if known else [*callbacks, self.handler]
        else:
            mine = callbacks
            if not any(isinstance(one, EventHandler) for one in callbacks.handlers):
                mine = callbacks.copy()
                mine.add_handler(self.handler)
        heard: RunnableConfig = {**(config or {}), "callbacks": mine}
        return heard


def _with_type(call: ToolCall) -> ToolCall:
    """With it a tool answers with a message in place of its bare result."""
    return {**call, "type": "tool_call"}


def _no_such_tool(call: ToolCall) -> ToolMessage:
    return ToolMessage(f"there is no tool {call['name']}", tool_call_id=call["id"], status="error")


def _sum(pieces: list[Any]) -> Any:
    whole = pieces[0]
    for piece in pieces[1:]:
        whole = whole + piece
    return whole


def _text_of(reply: Any) -> str:
    if not isinstance(reply, BaseMessage):
        return str(reply)
    # A method in older versions, text in newer.
    text = reply.text
    return str(text() if callable(text) and not isinstance(text, str) else text)
