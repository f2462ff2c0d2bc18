"""smolagents: its model, and an agent that calls tools."""

from cells import run, warmth
from smolagents import ChatMessage, OpenAIServerModel, ToolCallingAgent, tool


def said(prompt):
    return [ChatMessage(role="user", content=[{"type": "text", "text": prompt}])]


def model_of(name):
    return OpenAIServerModel(model_id=name, max_tokens=50)


run(
    "smolagents",
    ask=lambda prompt, model: model_of(model).generate(said(prompt)).content,
    stream=lambda prompt, model: (one.content or "" for one in model_of(model).generate_stream(said(prompt))),
    tools=lambda prompt, model: ToolCallingAgent(tools=[tool(warmth)], model=model_of(model)).run(prompt, max_steps=3),
)
