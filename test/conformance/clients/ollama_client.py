"""The ollama package's client, as its README shows it."""

import base64

import ollama
from lockstep import CITY, PIXEL, QUESTION, obey, warmth

HELLO = [{"role": "user", "content": "Say hello."}]
TOOLS = [{"type": "function", "function": {"name": "warmth", "description": "How warm it is", "parameters": CITY}}]


def plain(model):
    return {"text": ollama.Client().chat(model=model, messages=HELLO).message.content}


def streamed(model):
    parts = list(ollama.Client().chat(model=model, messages=HELLO, stream=True))
    return {"text": "".join(part.message.content or "" for part in parts), "done": parts[-1].done}


def thinking(model):
    parts = list(ollama.Client().chat(model=model, messages=HELLO, stream=True, think=True))
    return {"text": "".join(part.message.thinking or "" for part in parts)}


def tools(model):
    client, asked = ollama.Client(), [{"role": "user", "content": QUESTION}]
    for part in client.chat(model=model, messages=asked, tools=TOOLS, stream=True):
        for call in part.message.tool_calls or []:
            asked.append({"role": "assistant", "tool_calls": [call]})
            asked.append(
                {"role": "tool", "content": warmth(**call.function.arguments), "tool_name": call.function.name}
            )
    return {"text": client.chat(model=model, messages=asked, tools=TOOLS).message.content}


def vision(model):
    asked = [{"role": "user", "content": "What is it?", "images": [base64.b64decode(PIXEL)]}]
    return {"text": ollama.Client().chat(model=model, messages=asked).message.content}


def generated(model):
    parts = list(ollama.Client().generate(model=model, prompt="Say hello.", stream=True))
    return {"text": "".join(part.response for part in parts)}


def embedded(model):
    return {"count": len(ollama.Client().embed(model=model, input=["Who?", "Why?"]).embeddings)}


def listed(model):
    return {"text": ollama.Client().list().models[0].model}


def shown(model):
    return {"text": ollama.Client().show(model).modelfile}


def pulled(model):
    return {"text": ollama.Client().pull(model).status}


obey([plain, streamed, thinking, tools, vision, generated, embedded, listed, shown, pulled], "ollama")
