from __future__ import annotations

import asyncio
import json
import unittest
from typing import Any

import openai
from beside import Answer, EventsTestCase
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI

import iron_cage
from iron_cage import IronCageCallbackHandler, IronCageChain

USAGE = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}


class Scripted(BaseChatModel):
    """Gives scripted answers, one reply after the other, and keeps the questions."""

    replies: list[Any]
    asked: list[Any] = []
    streams: int = 0

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        self.asked.append(messages)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return ChatResult(generations=[ChatGeneration(message=reply)])

    def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Any:
        self.asked.append(messages)
        self.streams += 1
        reply = self.replies.pop(0)
        for word in reply.content.split(" ") if reply.content else ():
            yield ChatGenerationChunk(message=AIMessageChunk(word))
        calls = [
            tool_call_chunk(name=one["name"], args=json.dumps(one["args"]), id=one["id"], index=0)
            for one in reply.tool_calls
        ]
        yield ChatGenerationChunk(
            message=AIMessageChunk("", tool_call_chunks=calls, usage_metadata=USAGE, chunk_position="last")
        )

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self


def says(text: str) -> AIMessage:
    return AIMessage(text, usage_metadata=USAGE)


def wants(name: str, **given: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": given, "id": "call_1"}], usage_metadata=USAGE)


def double(number: int) -> int:
    """Twice a number."""
    return 2 * number


class Chain(EventsTestCase):
    def test_text_messages_prompts_and_dicts_are_all_questions(self) -> None:
        model = Scripted(replies=[says("ok")] * 6)
        chain = IronCageChain(llm=model)
        for question in (
            "Why?",
            HumanMessage("Why?"),
            [("human", "Why?")],
            ChatPromptTemplate.from_template("{word}?").invoke({"word": "Why"}),
            {"messages": [HumanMessage("Why?")]},
            {"input": "Why?"},
        ):
            self.assertEqual(chain.invoke(question).content, "ok")
        self.assertEqual(model.asked, [[HumanMessage("Why?")]] * 6)
        with self.assertRaisesRegex(TypeError, 'expected a dict with "messages" or "input", got .*question'):
            chain.invoke({"question": "Why?"})

    def test_run_gives_the_text_and_takes_the_variables_of_a_prompt(self) -> None:
        model = Scripted(replies=[says("Katze"), says("Hund")])
        chain = IronCageChain(llm=model, prompt="{word} in {language}")
        self.assertEqual(chain.run(word="cat", language="German"), "Katze")
        self.assertEqual(chain.run({"word": "dog", "language": "German"}), "Hund")
        self.assertEqual(model.asked[0], [HumanMessage("cat in German")])

    def test_it_composes_on_both_sides(self) -> None:
        chain = (
            RunnableLambda(str.upper)
            | IronCageChain(llm=Scripted(replies=[says("a b"), says("c d")]))
            | StrOutputParser()
        )
        self.assertEqual(chain.invoke("why"), "a b")
        self.assertEqual(list(chain.stream("why")), ["c", "d", ""])

    def test_streams_come_in_pieces_with_threads_and_asyncio(self) -> None:
        model = Scripted(replies=[says("one two"), says("three four")])
        chain = IronCageChain(llm=model)
        self.assertEqual([piece.content for piece in chain.stream("?")], ["one", "two", ""])

        async def pieces() -> list:
            return [piece.content async for piece in chain.astream("?")]

        self.assertEqual(asyncio.run(pieces()), ["three", "four", ""])
        self.assertEqual(model.streams, 2)

    def test_batches_answer_in_the_order_of_the_questions(self) -> None:
        echo = RunnableLambda(lambda messages: AIMessage(messages[-1].content))
        chain = IronCageChain(llm=echo)
        questions = [str(number) for number in range(20)]
        self.assertEqual([one.content for one in chain.batch(questions)], questions)
        self.assertEqual([one.content for one in asyncio.run(chain.abatch(questions))], questions)

    def test_tools_are_run_until_none_is_wanted_whichever_way_it_is_called(self) -> None:
        def chain() -> tuple:
            model = Scripted(replies=[wants("double", number=4), wants("triple", number=4), says("8")])
            return model, IronCageChain(llm=model, tools=[double])

        async def collected(of: IronCageChain) -> list:
            return [piece async for piece in of.astream("twice four?")]

        ways = {
            "invoke": lambda of: of.invoke("twice four?").content,
            "ainvoke": lambda of: asyncio.run(of.ainvoke("twice four?")).content,
            "stream": lambda of: "".join(piece.content for piece in of.stream("twice four?")),
            "astream": lambda of: "".join(piece.content for piece in asyncio.run(collected(of))),
        }
        for name, way in ways.items():
            with self.subTest(name):
                model, of = chain()
                self.assertEqual(way(of), "8")
                results = [one for one in model.asked[-1] if isinstance(one, ToolMessage)]
                self.assertEqual([one.content for one in results], ["8", "there is no tool triple"])
                self.assertEqual((of.totals.calls, of.totals.tools), (3, 1))

    def test_a_model_that_never_stops_asking_for_tools_is_stopped(self) -> None:
        chain = IronCageChain(llm=Scripted(replies=[wants("double", number=1)] * 3), tools=[double], max_steps=3)
        with self.assertRaisesRegex(iron_cage.IronCageError, "still asks for tools after 3 turns"):
            chain.invoke("?")

    def test_what_was_said_is_remembered_in_lists_and_histories(self) -> None:
        for memory in ([], InMemoryChatMessageHistory()):
            with self.subTest(type(memory).__name__):
                model = Scripted(replies=[says("one"), says("two")])
                prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "{text}")])
                chain = IronCageChain(llm=model, prompt=prompt, memory=memory)
                chain.invoke({"text": "first"})
                chain.invoke({"text": "second"})
                rules, said, answered, asked = model.asked[1]
                self.assertEqual(rules, SystemMessage("Be brief."))
                self.assertEqual((said.content, answered.content, asked.content), ("first", "one", "second"))
                kept = memory if isinstance(memory, list) else memory.messages
                self.assertEqual([one.content for one in kept], ["first", "one", "second", "two"])

    def test_nothing_is_remembered_of_a_question_without_an_answer(self) -> None:
        memory: list[Any] = []
        with self.assertRaises(ValueError):
            IronCageChain(llm=Scripted(replies=[ValueError("no")]), memory=memory).invoke("?")
        self.assertEqual(memory, [])

    def test_a_refusal_of_the_cage_has_its_name_and_the_sdk_as_its_cause(self) -> None:
        refusal = {"message": "no money", "code": "budget_exceeded", "facts": {"limit_usd": "1"}}
        self.server.answer = lambda request: (
            Answer(204) if "/api/run" in request.path else Answer(402, {"error": refusal}, {"x-should-retry": "false"})
        )
        chain = IronCageChain(llm=ChatOpenAI(model="gpt-4o-mini", base_url=f"{self.server.url}/v1", api_key="sk-x"))
        ways = [
            lambda: chain.invoke("?"),
            lambda: asyncio.run(chain.ainvoke("?")),
            lambda: list(chain.stream("?")),
            lambda: (chain | StrOutputParser()).invoke("?"),
        ]
        for way in ways:
            with self.assertRaises(iron_cage.BudgetExceeded) as caught:
                way()
            self.assertIsInstance(caught.exception.__cause__, openai.APIStatusError)
            self.assertEqual(str(caught.exception.limit_usd), "1")
        self.assertIn("gpt-4o-mini failed: budget_exceeded", self.messages())

    def test_a_refusal_by_the_provider_stays_what_it_is(self) -> None:
        wrong = {"message": "wrong key", "code": "invalid_api_key", "type": "invalid_request_error"}
        self.server.answer = lambda request: (
            Answer(204) if "/api/run" in request.path else Answer(401, {"error": wrong})
        )
        chain = IronCageChain(llm=ChatOpenAI(model="gpt-4o-mini", base_url=f"{self.server.url}/v1", api_key="sk-x"))
        with self.assertRaises(openai.AuthenticationError):
            chain.invoke("?")


class Handler(EventsTestCase):
    def test_models_tools_and_the_whole_are_lines_of_the_event_log(self) -> None:
        chain = IronCageChain(llm=Scripted(replies=[wants("double", number=4), says("8")]), tools=[double])
        chain.invoke("twice four?")
        self.assertEqual(
            self.messages(),
            [
                "Scripted answered: 7 tokens in, 3 out",
                "tool double done",
                "Scripted answered: 7 tokens in, 3 out",
                "IronCageChain done",
            ],
        )
        (first, *_) = [data for _, level, data in self.events() if level != "DEBUG"]
        self.assertEqual(first["kind"], "llm.ended")
        self.assertEqual((first["input_tokens"], first["output_tokens"]), (7, 3))
        self.assertGreaterEqual(first["latency_ms"], 0)

    def test_prompts_answers_and_arguments_are_not_told(self) -> None:
        model = Scripted(
            replies=[wants("double", number=123456), says("a secret answer"), ValueError("a secret prompt")]
        )
        chain = IronCageChain(llm=model, tools=[double])
        chain.invoke("a secret prompt")
        with self.assertRaises(ValueError):
            chain.invoke("a secret prompt")
        reported = json.dumps(self.events())
        for secret in ("secret", "123456", "246912"):
            self.assertNotIn(secret, reported)
        self.assertIn("Scripted failed: ValueError", self.messages())

    def test_retries_are_told_with_their_number(self) -> None:
        model = Scripted(replies=[ConnectionError("x"), ConnectionError("x"), says("at last")])
        chain = IronCageChain(llm=model.with_retry(wait_exponential_jitter=False, stop_after_attempt=3))
        self.assertEqual(chain.run("?"), "at last")
        again = [message for message in self.messages() if "again" in message]
        self.assertEqual(again, ["Scripted tried again (attempt 2)", "Scripted tried again (attempt 3)"])
        self.assertEqual(chain.totals.retries, 2)

    def test_one_handler_hears_everything_once_wherever_it_is_given(self) -> None:
        handler = IronCageCallbackHandler()
        chain = IronCageChain(llm=Scripted(replies=[says("ok")]))
        (chain | StrOutputParser()).invoke("?", config={"callbacks": [handler]})
        self.assertEqual((handler.totals.calls, chain.totals.calls), (1, 0))
        self.assertEqual(len([one for one in self.messages() if "answered" in one]), 1)

    def test_the_first_token_of_a_stream_is_timed(self) -> None:
        list(IronCageChain(llm=Scripted(replies=[says("a b")])).stream("?"))
        (ended,) = [data for _, _, data in self.events() if data.get("kind") == "llm.ended"]
        self.assertIsInstance(ended["first_token_ms"], int)

    def test_a_server_that_fails_breaks_no_chain(self) -> None:
        self.server.answer = lambda request: Answer(500)
        with self.assertWarns(RuntimeWarning):
            self.assertEqual(IronCageChain(llm=Scripted(replies=[says("ok")])).run("?"), "ok")

    def test_hundred_chains_at_once_are_counted_rightly(self) -> None:
        chain = IronCageChain(llm=Scripted(replies=[says("ok") for _ in range(100)]))
        chain.batch(["?"] * 100, config={"max_concurrency": 20})
        self.assertEqual((chain.totals.calls, chain.totals.input_tokens), (100, 700))
        self.assertEqual(chain.handler._running, {})


if __name__ == "__main__":
    unittest.main()
