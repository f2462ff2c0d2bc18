"""The openai package, oldest and newest: the same program."""

import json

from lockstep import CITY, PIXEL, QUESTION, obey, warmth
from openai import OpenAI

HELLO = [{"role": "user", "content": "Say hello."}]
TOOLS = [{"type": "function", "function": {"name": "warmth", "description": "How warm it is", "parameters": CITY}}]


def plain(model):
    reply = OpenAI().chat.completions.create(model=model, messages=HELLO, max_tokens=50)
    return {
        "text": reply.choices[0].message.content,
        "usage": [reply.usage.prompt_tokens, reply.usage.completion_tokens],
    }


def streamed(model):
    chunks = OpenAI().chat.completions.create(model=model, messages=HELLO, max_tokens=50, stream=True)
    # No chunk without choices comes to a client that did not ask for usage.
    return {"text": "".join(chunk.choices[0].delta.content or "" for chunk in chunks)}


def streamed_usage(model):
    chunks = OpenAI().chat.completions.create(
        model=model, messages=HELLO, max_tokens=50, stream=True, extra_body={"stream_options": {"include_usage": True}}
    )
    [usage] = [chunk.usage for chunk in chunks if getattr(chunk, "usage", None)]
    usage = usage if isinstance(usage, dict) else usage.model_dump()
    return {"usage": [usage["prompt_tokens"], usage["completion_tokens"]]}


def tools(model):
    asked = [{"role": "user", "content": QUESTION}]
    client = OpenAI()
    first = client.chat.completions.create(model=model, messages=asked, tools=TOOLS, max_tokens=50).choices[0]
    calls = [(call.id, call.function.name, json.loads(call.function.arguments)) for call in first.message.tool_calls]
    results = [{"role": "tool", "tool_call_id": id, "content": warmth(**given)} for id, _, given in calls]
    said = first.message.model_dump(exclude_unset=True)
    last = client.chat.completions.create(model=model, messages=[*asked, said, *results], tools=TOOLS, max_tokens=50)
    return {
        "calls": [{"name": name, "arguments": given} for _, name, given in calls],
        "reason": first.finish_reason,
        "text": last.choices[0].message.content,
    }


def streamed_tools(model):
    asked = [{"role": "user", "content": QUESTION}]
    calls = {}
    reasons = []
    for chunk in OpenAI().chat.completions.create(model=model, messages=asked, tools=TOOLS, max_tokens=50, stream=True):
        choice = chunk.choices[0]
        reasons += [choice.finish_reason] if choice.finish_reason else []
        for piece in choice.delta.tool_calls or []:
            call = calls.setdefault(piece.index, {"id": piece.id, "name": piece.function.name, "arguments": ""})
            call["arguments"] += piece.function.arguments or ""
    assert all(call["id"] for call in calls.values())
    [reason] = reasons
    return {
        "calls": [{"name": call["name"], "arguments": json.loads(call["arguments"])} for call in calls.values()],
        "reason": reason,
    }


def vision(model):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PIXEL}}
    asked = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]}]
    reply = OpenAI().chat.completions.create(model=model, messages=asked, max_tokens=50)
    return {"text": reply.choices[0].message.content}


def structured(model):
    client = OpenAI()
    if not hasattr(client.chat.completions, "parse"):
        reply = client.chat.completions.create(
            model=model, messages=HELLO, max_tokens=50, extra_body={"response_format": {"type": "json_object"}}
        )
        return json.loads(reply.choices[0].message.content)
    from pydantic import BaseModel

    class Place(BaseModel):
        city: str
        degrees: int

    reply = client.chat.completions.parse(model=model, messages=HELLO, max_tokens=50, response_format=Place)
    return reply.choices[0].message.parsed.model_dump()


def embeddings(_model):
    reply = OpenAI().embeddings.create(model="text-embedding-3-small", input=["one", "two"])
    return {"vectors": [row.embedding for row in reply.data]}


def models(_model):
    return {"models": [model.id for model in OpenAI().models.list()]}


def responses(model):
    reply = OpenAI().responses.create(model=model, input="Say hello.", max_output_tokens=50)
    return {"text": reply.output_text, "usage": [reply.usage.input_tokens, reply.usage.output_tokens]}


def streamed_responses(model):
    events = list(OpenAI().responses.create(model=model, input="Say hello.", max_output_tokens=50, stream=True))
    return {
        "text": "".join(event.delta for event in events if event.type == "response.output_text.delta"),
        "whole": events[-1].response.output_text,
        "numbers": [event.sequence_number for event in events],
        "types": [event.type for event in events],
    }


def responses_tools(model):
    tool = {"type": "function", "name": "warmth", "description": "", "parameters": CITY, "strict": False}
    client = OpenAI()
    # The helper that puts the whole response together out of its events.
    with client.responses.stream(model=model, input=QUESTION, tools=[tool], max_output_tokens=50) as stream:
        first = stream.get_final_response()
    calls = [item for item in first.output if item.type == "function_call"]
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": warmth(**json.loads(call.arguments))}
        for call in calls
    ]
    said = [{"type": "function_call", "call_id": c.call_id, "name": c.name, "arguments": c.arguments} for c in calls]
    last = client.responses.create(
        model=model, input=[{"role": "user", "content": QUESTION}, *said, *results], tools=[tool], max_output_tokens=50
    )
    return {
        "calls": [{"name": call.name, "arguments": json.loads(call.arguments)} for call in calls],
        "text": last.output_text,
    }


def stored_responses(_model):
    client = OpenAI()
    found = client.responses.retrieve("resp_1").output_text
    items = len(client.responses.input_items.list("resp_1").data)
    cancelled = client.responses.cancel("resp_1").id
    client.responses.delete("resp_1")
    return {"found": found, "items": items, "cancelled": cancelled}


CASES = [plain, streamed, streamed_usage, tools, streamed_tools, vision, structured, embeddings, models]
RESPONSES = [responses, streamed_responses, responses_tools, stored_responses]
obey([*CASES, *RESPONSES], "openai")
