"""LlamaIndex: its OpenAI model, and a function agent."""

import asyncio

from cells import run, warmth
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai import OpenAI


def tools(prompt, model):
    agent = FunctionAgent(tools=[warmth], llm=OpenAI(model=model, max_tokens=50), streaming=False)

    async def main():
        return str(await agent.run(prompt))

    return asyncio.run(main())


run(
    "llama-index-core",
    "llama-index-llms-openai",
    ask=lambda prompt, model: OpenAI(model=model, max_tokens=50).complete(prompt).text,
    stream=lambda prompt, model: (
        one.delta or "" for one in OpenAI(model=model, max_tokens=50).stream_complete(prompt)
    ),
    tools=tools,
)
