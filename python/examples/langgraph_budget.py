"""A graph that takes the thorough route while the budget lasts, then the short one.

Shows: current_budget() chooses the edge; a node whose call is refused falls back, and the graph ends normally.
(This needs budget.on_exhausted: refuse in iron-cage.yaml; by default the agent is stopped.)
Start: iron-cage start python/examples/langgraph_budget.py --budget 0.05
Needs: langgraph langchain-openai; OPENAI_API_KEY
"""

from typing import TypedDict

from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph

from iron_cage import current_budget
from iron_cage.langgraph import node

ENOUGH_FOR_DEPTH_USD = 0.03


class State(TypedDict, total=False):
    topic: str
    notes: list[str]
    summary: str


def study(state: State) -> State:
    number = len(state["notes"]) + 1
    note = ChatOpenAI(model="gpt-4", max_tokens=150).invoke(f"Note {number} about {state['topic']}, one sentence.").text
    print(f"note: {note}")
    return {"notes": [*state["notes"], note]}


def summarise(state: State) -> State:
    text = " ".join(state["notes"])
    return {"summary": ChatOpenAI(model="gpt-4o-mini", max_tokens=60).invoke(f"Sum up in five words: {text}").text}


def is_there_money(state: State) -> str:
    return (
        "study" if len(state["notes"]) < 10 and current_budget().remaining_usd > ENOUGH_FOR_DEPTH_USD else "summarise"
    )


graph = StateGraph(State)
graph.add_node("study", node(study, on_refusal=lambda state, refusal: {"notes": state["notes"]}))
graph.add_node("summarise", node(summarise, on_refusal=lambda state, refusal: {"summary": "(no money for a summary)"}))
graph.add_edge(START, "study")
graph.add_conditional_edges("study", is_there_money)
graph.add_edge("summarise", END)

final = graph.compile().invoke({"topic": "tides", "notes": []})
print(f"{len(final['notes'])} notes: {final['summary']}")
