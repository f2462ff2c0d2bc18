"""LiteLLM, with models of OpenAI."""

import json

import litellm
from cells import CITY, run, warmth

TOOL = {"type": "function", "function": {"name": "warmth", "description": "How warm it is.", "parameters": CITY}}


def complete(messages, model, **more):
    return litellm.completion(model=f"openai/{model}", max_tokens=50, messages=messages, **more)


def ask(prompt, model):
    return complete([{"role": "user", "content": prompt}], model).choices[0].message.content


def stream(prompt, model):
    pieces = complete([{"role": "user", "content": prompt}], model, stream=True)
    for piece in pieces:
        yield piece.choices[0].delta.content or ""


def tools(prompt, model):
    messages = [{"role": "user", "content": prompt}]
    first = complete(messages, model, tools=[TOOL]).choices[0].message
    messages.append(first)
    for call in first.tool_calls:
        result = warmth(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    return complete(messages, model, tools=[TOOL]).choices[0].message.content


run("litellm", ask=ask, stream=stream, tools=tools)
