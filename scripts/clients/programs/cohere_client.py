"""cohere, version 2 of its API."""

import json

import cohere
from cells import CITY, run, warmth

client = cohere.ClientV2()
TOOLS = [{"type": "function", "function": {"name": "warmth", "description": "How warm it is.", "parameters": CITY}}]


def chat(messages, model, **more):
    return client.chat(model=model, messages=messages, max_tokens=50, **more).message


def ask(prompt, model):
    return chat([{"role": "user", "content": prompt}], model).content[0].text


def stream(prompt, model):
    for event in client.chat_stream(model=model, messages=[{"role": "user", "content": prompt}], max_tokens=50):
        if event.type == "content-delta":
            yield event.delta.message.content.text or ""


def tools(prompt, model):
    messages = [{"role": "user", "content": prompt}]
    first = chat(messages, model, tools=TOOLS)
    messages.append(first)
    for call in first.tool_calls:
        result = warmth(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    return chat(messages, model, tools=TOOLS).content[0].text


run("cohere", ask=ask, stream=stream, tools=tools)
