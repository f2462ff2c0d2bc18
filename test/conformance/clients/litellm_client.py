"""LiteLLM as a library, in front of OpenAI or Anthropic as the model's name begins."""

import json

import litellm
from lockstep import CITY, PIXEL, QUESTION, obey, warmth

HELLO = [{"role": "user", "content": "Say hello."}]
TOOLS = [{"type": "function", "function": {"name": "warmth", "description": "How warm it is", "parameters": CITY}}]


def complete(model, messages=HELLO, **options):
    return litellm.completion(model=model, messages=messages, max_tokens=50, **options)


def plain(model):
    reply = complete(model)
    return {
        "text": reply.choices[0].message.content,
        "usage": [reply.usage.prompt_tokens, reply.usage.completion_tokens],
    }


def streamed(model):
    return {"text": "".join(chunk.choices[0].delta.content or "" for chunk in complete(model, stream=True))}


def streamed_usage(model):
    chunks = complete(model, stream=True, stream_options={"include_usage": True})
    [usage] = [chunk.usage for chunk in chunks if getattr(chunk, "usage", None)]
    return {"usage": [usage.prompt_tokens, usage.completion_tokens]}


def tools(model):
    asked = [{"role": "user", "content": QUESTION}]
    first = complete(model, asked, tools=TOOLS).choices[0].message
    calls = [(call.id, call.function.name, json.loads(call.function.arguments)) for call in first.tool_calls]
    results = [{"role": "tool", "tool_call_id": id, "content": warmth(**given)} for id, _, given in calls]
    last = complete(model, [*asked, first.model_dump(), *results], tools=TOOLS)
    return {
        "calls": [{"name": name, "arguments": given} for _, name, given in calls],
        "text": last.choices[0].message.content,
    }


def streamed_tools(model):
    asked = [{"role": "user", "content": QUESTION}]
    chunks = list(complete(model, asked, tools=TOOLS, stream=True))
    calls = litellm.stream_chunk_builder(chunks, messages=asked).choices[0].message.tool_calls
    return {"calls": [{"name": c.function.name, "arguments": json.loads(c.function.arguments)} for c in calls]}


def vision(model):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PIXEL}}
    asked = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]}]
    return {"text": complete(model, asked).choices[0].message.content}


def structured(model):
    return json.loads(complete(model, response_format={"type": "json_object"}).choices[0].message.content)


def embeddings(_model):
    reply = litellm.embedding(model="openai/text-embedding-3-small", input=["one", "two"])
    return {"vectors": [row["embedding"] for row in reply.data]}


def responses(model):
    reply = litellm.responses(model=model, input="Say hello.", max_output_tokens=50)
    return {"text": reply.output[0].content[0].text}


def streamed_responses(model):
    events = litellm.responses(model=model, input="Say hello.", max_output_tokens=50, stream=True)
    return {"text": "".join(event.delta for event in events if event.type == "response.output_text.delta")}


CASES = [plain, streamed, streamed_usage, tools, streamed_tools, vision]
OPENAI = [structured, embeddings, responses, streamed_responses]
obey([*CASES, *OPENAI], "litellm")
