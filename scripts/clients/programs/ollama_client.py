"""ollama: its own API."""

import ollama
from cells import run, warmth


def user(prompt):
    return {"role": "user", "content": prompt}


def ask(prompt, model):
    return ollama.chat(model=model, messages=[user(prompt)]).message.content


def stream(prompt, model):
    for part in ollama.chat(model=model, messages=[user(prompt)], stream=True):
        yield part.message.content or ""


def tools(prompt, model):
    messages = [user(prompt)]
    first = ollama.chat(model=model, messages=messages, tools=[warmth]).message
    messages.append(first)
    for call in first.tool_calls:
        result = warmth(**call.function.arguments)
        messages.append({"role": "tool", "content": result, "tool_name": call.function.name})
    return ollama.chat(model=model, messages=messages, tools=[warmth]).message.content


run("ollama", ask=ask, stream=stream, tools=tools)
