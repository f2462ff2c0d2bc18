"""LangGraph: LangChain's agent on a graph."""

from cells import run, warmth
from langchain.agents import create_agent
from langchain_openai import ChatOpenAI


def graph(model, tools=()):
    return create_agent(ChatOpenAI(model=model, max_completion_tokens=50), list(tools))


def ask(prompt, model, tools=()):
    return graph(model, tools).invoke({"messages": [("user", prompt)]})["messages"][-1].text


def stream(prompt, model):
    for chunk, _ in graph(model).stream({"messages": [("user", prompt)]}, stream_mode="messages"):
        yield chunk.text


run("langgraph", ask=ask, stream=stream, tools=lambda prompt, model: ask(prompt, model, [warmth]))
