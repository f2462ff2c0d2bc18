import sys
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph

sys.path.insert(0, "{sdk}")
import caged_agent


class State(TypedDict, total=False):
    inputs: Any
    output: Any


def run(state: State) -> State:
    return {"output": caged_agent.call(state["inputs"])}


graph = StateGraph(State).add_node("run", run).add_edge(START, "run").add_edge("run", END).compile()
