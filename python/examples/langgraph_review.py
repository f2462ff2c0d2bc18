"""A writer and a critic in a loop, until the critic approves.

Shows: nodes wrapped with iron_cage.langgraph.node are steps in the event log; progress is on the dashboard.
Start: iron-cage start python/examples/langgraph_review.py --budget 1
Needs: langgraph langchain-openai; OPENAI_API_KEY
"""

from typing import TypedDict

from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph

import iron_cage
from iron_cage.langgraph import node

model = ChatOpenAI(model="gpt-4o-mini", max_tokens=60)
MOST_ROUNDS = 3


class State(TypedDict):
    slogan: str
    verdict: str
    rounds: int


def write(state: State) -> dict:
    wish = f"Improve the slogan '{state['slogan']}'" if state["slogan"] else "Write a slogan for a bakery"
    slogan = model.invoke(f"{wish}. Only the slogan.").text
    print(f"writer: {slogan}")
    return {"slogan": slogan, "rounds": state["rounds"] + 1}


def review(state: State) -> dict:
    verdict = model.invoke(f"Answer good or bad: is '{state['slogan']}' short and warm?").text
    print(f"critic: {verdict}")
    iron_cage.progress(state["rounds"], MOST_ROUNDS, "rounds")
    return {"verdict": verdict}


def is_done(state: State) -> str:
    return END if "good" in state["verdict"].lower() or state["rounds"] == MOST_ROUNDS else "write"


graph = StateGraph(State)
graph.add_node("write", node(write))
graph.add_node("review", node(review))
graph.add_edge(START, "write")
graph.add_edge("write", "review")
graph.add_conditional_edges("review", is_done)

final = graph.compile().invoke({"slogan": "", "verdict": "", "rounds": 0})
print(f"{final['rounds']} rounds")
