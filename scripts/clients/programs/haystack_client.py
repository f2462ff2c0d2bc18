"""Haystack: a chat generator, and an agent."""

from cells import run, warmth
from haystack.components.agents import Agent
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import create_tool_from_function


def generator(model, **more):
    return OpenAIChatGenerator(model=model, generation_kwargs={"max_tokens": 50}, **more)


def stream(prompt, model):
    pieces = []
    generator(model, streaming_callback=lambda chunk: pieces.append(chunk.content)).run([ChatMessage.from_user(prompt)])
    yield from pieces


def tools(prompt, model):
    agent = Agent(chat_generator=generator(model), tools=[create_tool_from_function(warmth)])
    return agent.run(messages=[ChatMessage.from_user(prompt)])["messages"][-1].text


run(
    "haystack-ai",
    ask=lambda prompt, model: generator(model).run([ChatMessage.from_user(prompt)])["replies"][0].text,
    stream=stream,
    tools=tools,
)
