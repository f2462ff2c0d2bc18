"""OpenAI Agents SDK, with the responses API."""

from agents import Agent, ModelSettings, Runner, function_tool
from cells import pieces_of, run, warmth


def agent(model, tools=()):
    return Agent(name="Guide", model=model, tools=list(tools), model_settings=ModelSettings(max_tokens=50))


def stream(prompt, model):
    async def pieces():
        result = Runner.run_streamed(agent(model), prompt)
        try:
            async for event in result.stream_events():
                if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                    yield event.data.delta
        finally:
            result.cancel()

    return pieces_of(pieces)


run(
    "openai-agents",
    ask=lambda prompt, model: Runner.run_sync(agent(model), prompt).final_output,
    stream=stream,
    tools=lambda prompt, model: Runner.run_sync(agent(model, [function_tool(warmth)]), prompt).final_output,
)
