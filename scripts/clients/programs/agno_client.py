"""Agno: an agent."""

from agno.agent import Agent
from agno.models.openai import OpenAIChat
from cells import run, warmth


def agent(model, tools=()):
    return Agent(model=OpenAIChat(id=model, max_tokens=50), tools=list(tools), telemetry=False)


def stream(prompt, model):
    for event in agent(model).run(prompt, stream=True):
        yield getattr(event, "content", None) or ""


run(
    "agno",
    ask=lambda prompt, model: agent(model).run(prompt).content,
    stream=stream,
    tools=lambda prompt, model: agent(model, [warmth]).run(prompt).content,
)
