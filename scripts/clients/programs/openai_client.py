"""openai: chat completions. Also AzureOpenAI, groq and together, which are made from the same parts."""

import importlib
import json
import os

from cells import CITY, run, warmth

PACKAGE, NAME = os.environ.get("MATRIX_CLASS", "openai.OpenAI").split(".")
client = getattr(importlib.import_module(PACKAGE), NAME)()
TOOL = {"type": "function", "function": {"name": "warmth", "description": "How warm it is.", "parameters": CITY}}


def create(messages, model, **more):
    return client.chat.completions.create(model=model, max_tokens=50, messages=messages, **more)


def ask(prompt, model):
    return create([{"role": "user", "content": prompt}], model).choices[0].message.content


def stream(prompt, model):
    pieces = create([{"role": "user", "content": prompt}], model, stream=True)
    try:
        for piece in pieces:
            if piece.choices and piece.choices[0].delta.content:
                yield piece.choices[0].delta.content
    finally:
        pieces.response.close() if hasattr(pieces, "response") else pieces.close()


def tools(prompt, model):
    messages = [{"role": "user", "content": prompt}]
    first = create(messages, model, tools=[TOOL]).choices[0].message
    messages.append({"role": "assistant", "content": None, "tool_calls": [c.model_dump() for c in first.tool_calls]})
    for call in first.tool_calls:
        result = warmth(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    return create(messages, model, tools=[TOOL]).choices[0].message.content


run(PACKAGE, ask=ask, stream=stream, tools=tools)
