"""anthropic: messages, at Anthropic, on Amazon Bedrock, on Vertex AI."""

import os

import anthropic
from cells import CITY, run, warmth

client = {
    "anthropic": lambda: anthropic.Anthropic(),
    "bedrock": lambda: anthropic.AnthropicBedrock(aws_region="us-east-1"),
    "vertex": lambda: anthropic.AnthropicVertex(
        project_id="house", region="europe-west1", access_token=os.environ["MATRIX_TOKEN"]
    ),
}[os.environ.get("MATRIX_CLASS", "anthropic")]()
TOOL = {"name": "warmth", "description": "How warm it is.", "input_schema": CITY}


def create(messages, model, **more):
    return client.messages.create(model=model, max_tokens=50, messages=messages, **more)


def ask(prompt, model):
    return create([{"role": "user", "content": prompt}], model).content[0].text


def stream(prompt, model):
    with client.messages.stream(model=model, max_tokens=50, messages=[{"role": "user", "content": prompt}]) as pieces:
        yield from pieces.text_stream


def tools(prompt, model):
    messages = [{"role": "user", "content": prompt}]
    first = create(messages, model, tools=[TOOL])
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": warmth(**block.input)}
        for block in first.content
        if block.type == "tool_use"
    ]
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    return create(messages, model, tools=[TOOL]).content[0].text


run("anthropic", ask=ask, stream=stream, tools=tools)
