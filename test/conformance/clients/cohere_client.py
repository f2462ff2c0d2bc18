"""The cohere package's client, version 2 of its API."""

import json
import os

import cohere
from lockstep import CITY, QUESTION, obey, warmth

HELLO = [{"role": "user", "content": "Say hello."}]
TOOLS = [{"type": "function", "function": {"name": "warmth", "description": "How warm it is", "parameters": CITY}}]


def client():
    # As its default, which was read when the package was imported.
    return cohere.ClientV2(base_url=os.environ["CO_API_URL"])


def plain(model):
    return {"text": client().chat(model=model, messages=HELLO, max_tokens=50).message.content[0].text}


def streamed(model):
    events = list(client().chat_stream(model=model, messages=HELLO, max_tokens=50))
    texts = [event.delta.message.content.text or "" for event in events if event.type == "content-delta"]
    return {"text": "".join(texts), "end": events[-1].delta.finish_reason, "error": events[-1].delta.error}


def thinking(model):
    events = client().chat_stream(model=model, messages=HELLO, thinking={"type": "enabled"})
    deltas = [event.delta.message.content for event in events if event.type == "content-delta"]
    return {"text": "".join(delta.thinking or "" for delta in deltas)}


def tools(model):
    asked = [{"role": "user", "content": QUESTION}]
    calls, plan = [], ""
    for event in client().chat_stream(model=model, messages=asked, tools=TOOLS):
        if event.type == "tool-plan-delta":
            plan += event.delta.message.tool_plan
        if event.type == "tool-call-start":
            calls.append(event.delta.message.tool_calls.dict())
        if event.type == "tool-call-delta":
            calls[-1]["function"]["arguments"] += event.delta.message.tool_calls.function.arguments
    asked.append({"role": "assistant", "tool_plan": plan, "tool_calls": calls})
    for call in calls:
        result = warmth(**json.loads(call["function"]["arguments"]))
        asked.append({"role": "tool", "tool_call_id": call["id"], "content": result})
    reply = client().chat(model=model, messages=asked, tools=TOOLS)
    return {"text": reply.message.content[0].text, "plan": plan}


def embedded(_model):
    asked = {"texts": ["Who?", "Why?"], "input_type": "search_query", "embedding_types": ["float"]}
    return {"count": len(client().embed(model="embed-v4.0", **asked).embeddings.float)}


def ranked(_model):
    return {"best": client().rerank(model="rerank-v3.5", query="Who?", documents=["Jane", "Oslo"]).results[0].index}


obey([plain, streamed, thinking, tools, embedded, ranked], "cohere")
