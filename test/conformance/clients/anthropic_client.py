"""The anthropic package."""

from anthropic import Anthropic
from lockstep import CITY, PIXEL, QUESTION, obey, warmth

HELLO = [{"role": "user", "content": "Say hello."}]
TOOLS = [{"name": "warmth", "description": "How warm it is", "input_schema": CITY}]


def plain(model):
    reply = Anthropic().messages.create(model=model, messages=HELLO, max_tokens=50)
    return {"text": reply.content[0].text, "usage": [reply.usage.input_tokens, reply.usage.output_tokens]}


def streamed(model):
    with Anthropic().messages.stream(model=model, messages=HELLO, max_tokens=50) as stream:
        text = "".join(stream.text_stream)
        assert stream.get_final_text() == text
    return {"text": text}


def streamed_usage(model):
    with Anthropic().messages.stream(model=model, messages=HELLO, max_tokens=50) as stream:
        usage = stream.get_final_message().usage
    return {"usage": [usage.input_tokens, usage.output_tokens]}


def tools(model):
    asked = [{"role": "user", "content": QUESTION}]
    client = Anthropic()
    first = client.messages.create(model=model, messages=asked, tools=TOOLS, max_tokens=50)
    calls = [block for block in first.content if block.type == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": warmth(**call.input)} for call in calls]
    talk = [*asked, {"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    last = client.messages.create(model=model, messages=talk, tools=TOOLS, max_tokens=50)
    return {
        "calls": [{"name": call.name, "arguments": call.input} for call in calls],
        "reason": first.stop_reason,
        "text": last.content[0].text,
    }


def streamed_tools(model):
    with Anthropic().messages.stream(
        model=model, messages=[{"role": "user", "content": QUESTION}], tools=TOOLS, max_tokens=50
    ) as stream:
        reply = stream.get_final_message()
    calls = [block for block in reply.content if block.type == "tool_use"]
    return {"calls": [{"name": call.name, "arguments": call.input} for call in calls], "reason": reply.stop_reason}


def vision(model):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    asked = [{"role": "user", "content": [image, {"type": "text", "text": "What is this?"}]}]
    return {"text": Anthropic().messages.create(model=model, messages=asked, max_tokens=50).content[0].text}


def thinking(model):
    """A model's thoughts go back unchanged, or the provider refuses it."""
    asked = [{"role": "user", "content": QUESTION}]
    system = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    wanted = {"model": model, "system": system, "tools": TOOLS, "max_tokens": 2000}
    wanted["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    client = Anthropic()
    whole = client.messages.create(messages=asked, **wanted)
    with client.messages.stream(messages=asked, **wanted) as stream:
        first = stream.get_final_message()
    calls = [block for block in first.content if block.type == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": warmth(**call.input)} for call in calls]
    talk = [*asked, {"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    client.messages.create(messages=talk, **wanted)
    shown = ("thinking", "signature", "data")
    return {
        way: [{field: getattr(block, field) for field in shown if hasattr(block, field)} for block in reply.content[:2]]
        for way, reply in (("whole", whole), ("streamed", first))
    }


def models(model):
    client = Anthropic()
    counted = client.messages.count_tokens(model=model, messages=HELLO).input_tokens
    return {"models": [model.id for model in client.models.list()], "counted": counted}


obey([plain, streamed, streamed_usage, tools, streamed_tools, vision, thinking, models], "anthropic")
