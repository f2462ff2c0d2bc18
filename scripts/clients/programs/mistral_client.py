"""mistralai. It reads no address from the environment: its quick start with ``server_url``."""

import json
import os

from cells import CITY, run, warmth
from mistralai.client import Mistral

url = os.environ.get("MISTRAL_BASE_URL")
client = Mistral(api_key=os.environ["MISTRAL_API_KEY"], **({"server_url": url} if url else {}))
TOOL = {"type": "function", "function": {"name": "warmth", "description": "How warm it is.", "parameters": CITY}}


def complete(messages, model, **more):
    return client.chat.complete(model=model, max_tokens=50, messages=messages, **more).choices[0].message


def ask(prompt, model):
    return complete([{"role": "user", "content": prompt}], model).content


def stream(prompt, model):
    with client.chat.stream(model=model, max_tokens=50, messages=[{"role": "user", "content": prompt}]) as pieces:
        for piece in pieces:
            yield piece.data.choices[0].delta.content or ""


def tools(prompt, model):
    messages = [{"role": "user", "content": prompt}]
    first = complete(messages, model, tools=[TOOL])
    messages.append(first)
    for call in first.tool_calls:
        result = warmth(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "name": "warmth", "content": result})
    return complete(messages, model, tools=[TOOL]).content


run("mistralai", ask=ask, stream=stream, tools=tools)
