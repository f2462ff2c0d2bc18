"""Pydantic AI: an agent, with the responses API as its ``openai:`` models use it."""

from cells import pieces_of, run, warmth
from pydantic_ai import Agent


def agent(model, tools=()):
    return Agent(f"openai:{model}", tools=list(tools), model_settings={"max_tokens": 50})


def stream(prompt, model):
    async def pieces():
        async with agent(model).run_stream(prompt) as result:
            async for piece in result.stream_text(delta=True, debounce_by=None):
                yield piece

    return pieces_of(pieces)


run(
    "pydantic-ai-slim",
    ask=lambda prompt, model: agent(model).run_sync(prompt).output,
    stream=stream,
    tools=lambda prompt, model: agent(model, [warmth]).run_sync(prompt).output,
)
