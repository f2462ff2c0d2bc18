from __future__ import annotations

import asyncio
import inspect
import unittest
from typing import Any, TypedDict

from beside import Answer, EventsTestCase
from langchain_core.runnables import RunnableConfig
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph

import iron_cage
from iron_cage.langgraph import node


class State(TypedDict, total=False):
    text: str


def graph_of(function: Any) -> Any:
    graph = StateGraph(State)
    graph.add_node("only", function)
    graph.add_edge(START, "only")
    graph.add_edge("only", END)
    return graph.compile()


class Node(EventsTestCase):
    def test_a_node_keeps_its_signature_and_what_langgraph_hands_to_it(self) -> None:
        def greet(state: State, config: RunnableConfig) -> State:
            return {"text": f"{state['text']} {config['configurable']['who']}"}

        wrapped = node(greet)
        self.assertEqual(inspect.signature(wrapped), inspect.signature(greet))
        result = graph_of(wrapped).invoke({"text": "hello"}, {"configurable": {"who": "world"}})
        self.assertEqual(result["text"], "hello world")
        self.assertEqual(self.messages(), ["node greet done"])

    def test_asynchronous_nodes_are_nodes_too(self) -> None:
        async def greet(state: State) -> State:
            return {"text": "hello"}

        result = asyncio.run(graph_of(node(greet, name="greeting")).ainvoke({"text": ""}))
        self.assertEqual(result["text"], "hello")
        self.assertEqual(self.messages(), ["node greeting done"])

    def test_a_failure_is_told_and_raised_as_it_was(self) -> None:
        def fail(state: State) -> State:
            raise ValueError("a secret")

        with self.assertRaisesRegex(ValueError, "a secret"):
            graph_of(node(fail, on_refusal=lambda state, refusal: {})).invoke({"text": ""})
        self.assertEqual(self.messages(), ["node fail failed: ValueError"])

    def test_a_refusal_is_raised_as_ours_or_answered_within_the_graph(self) -> None:
        refusal = {"message": "no money", "code": "budget_exceeded"}
        self.server.answer = lambda request: (
            Answer(204) if "/api/run" in request.path else Answer(402, {"error": refusal}, {"x-should-retry": "false"})
        )
        model = ChatOpenAI(model="gpt-4o-mini", base_url=f"{self.server.url}/v1", api_key="sk-x")

        def ask(state: State) -> State:
            return {"text": model.invoke("?").text}

        async def aask(state: State) -> State:
            return {"text": (await model.ainvoke("?")).text}

        def on_refusal(state: State, refused: iron_cage.IronCageError) -> State:
            return {"text": f"{state['text']}, but {refused.code}"}

        with self.assertRaises(iron_cage.BudgetExceeded):
            graph_of(node(ask)).invoke({"text": ""})
        self.assertEqual(
            graph_of(node(ask, on_refusal=on_refusal)).invoke({"text": "hm"})["text"], "hm, but budget_exceeded"
        )
        later = asyncio.run(graph_of(node(aask, on_refusal=on_refusal)).ainvoke({"text": "hm"}))
        self.assertEqual(later["text"], "hm, but budget_exceeded")


if __name__ == "__main__":
    unittest.main()
