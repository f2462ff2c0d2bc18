"""AutoGen: an assistant with its OpenAI client."""

import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import UserMessage
from autogen_ext.models.openai import OpenAIChatCompletionClient
from cells import pieces_of, run, warmth


def client(model):
    return OpenAIChatCompletionClient(model=model, max_tokens=50)


def ask(prompt, model, tools=()):
    agent = AssistantAgent("guide", client(model), tools=list(tools), reflect_on_tool_use=True)

    async def main():
        return (await agent.run(task=prompt)).messages[-1].content

    return asyncio.run(main())


def stream(prompt, model):
    async def pieces():
        async for piece in client(model).create_stream([UserMessage(content=prompt, source="user")]):
            if isinstance(piece, str):
                yield piece

    return pieces_of(pieces)


run("autogen-agentchat", ask=ask, stream=stream, tools=lambda prompt, model: ask(prompt, model, [warmth]))
