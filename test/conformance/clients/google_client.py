"""The google-genai package."""

import base64

from google import genai
from google.genai import types
from lockstep import PIXEL, QUESTION, obey, warmth

WARMTH = {"name": "warmth", "description": "How warm it is", "parameters_json_schema": {"type": "object"}}
TOOLS = types.GenerateContentConfig(max_output_tokens=50, tools=[{"function_declarations": [WARMTH]}])
SHORT = types.GenerateContentConfig(max_output_tokens=50)
THINKING = types.GenerateContentConfig(
    max_output_tokens=2000, tools=TOOLS.tools, thinking_config=types.ThinkingConfig(include_thoughts=True)
)


# A client that nothing refers to any more closes its connections: each case keeps its own.


def user(*parts):
    return types.Content(role="user", parts=list(parts))


def text_of(chunks):
    return "".join(part.text for part in parts_of(chunks) if part.text and not part.thought)


def parts_of(chunks):
    return [part for chunk in chunks for part in chunk.candidates[0].content.parts]


def calls_of(parts):
    return [part.function_call for part in parts if part.function_call]


def shown(calls):
    return [{"name": call.name, "arguments": call.args} for call in calls]


def results_of(calls):
    return user(
        *[types.Part.from_function_response(name=call.name, response={"result": warmth(**call.args)}) for call in calls]
    )


def plain(model):
    client = genai.Client()
    reply = client.models.generate_content(model=model, contents="Say hello.", config=SHORT)
    usage = reply.usage_metadata
    return {"text": reply.text, "usage": [usage.prompt_token_count, usage.candidates_token_count]}


def streamed(model):
    client = genai.Client()
    chunks = list(client.models.generate_content_stream(model=model, contents="Say hello.", config=SHORT))
    assert chunks[-1].candidates[0].finish_reason == "STOP"
    return {"text": text_of(chunks)}


def streamed_usage(model):
    client = genai.Client()
    *_, last = client.models.generate_content_stream(model=model, contents="Say hello.", config=SHORT)
    return {"usage": [last.usage_metadata.prompt_token_count, last.usage_metadata.candidates_token_count]}


def tools(model):
    client = genai.Client()
    asked = user(types.Part(text=QUESTION))
    first = client.models.generate_content(model=model, contents=[asked], config=TOOLS)
    calls = calls_of(first.candidates[0].content.parts)
    talk = [asked, first.candidates[0].content, results_of(calls)]
    last = client.models.generate_content(model=model, contents=talk, config=TOOLS)
    return {"calls": shown(calls), "text": last.text}


def streamed_tools(model):
    client = genai.Client()
    chunks = list(client.models.generate_content_stream(model=model, contents=QUESTION, config=TOOLS))
    return {"calls": shown(calls_of(parts_of(chunks)))}


def vision(model):
    image = types.Part.from_bytes(data=base64.b64decode(PIXEL), mime_type="image/png")
    asked = user(image, types.Part(text="What is this?"))
    client = genai.Client()
    return {"text": client.models.generate_content(model=model, contents=[asked], config=SHORT).text}


def structured(model):
    wanted = types.GenerateContentConfig(
        max_output_tokens=50,
        response_mime_type="application/json",
        response_json_schema={"type": "object", "properties": {"city": {"type": "string"}}},
    )
    client = genai.Client()
    return client.models.generate_content(model=model, contents="Where?", config=wanted).parsed


def thinking(model):
    """A model's thoughts go back unchanged, or the provider refuses it."""
    client = genai.Client()
    asked = user(types.Part(text=QUESTION))
    whole = client.models.generate_content(model=model, contents=[asked], config=THINKING)
    chunks = list(client.models.generate_content_stream(model=model, contents=[asked], config=THINKING))
    parts = parts_of(chunks)
    talk = [asked, types.Content(role="model", parts=parts), results_of(calls_of(parts))]
    client.models.generate_content(model=model, contents=talk, config=THINKING)

    def thought(parts):
        signatures = [base64.b64encode(part.thought_signature).decode() for part in parts if part.thought_signature]
        return ["".join(part.text for part in parts if part.thought), *signatures]

    return {"whole": thought(whole.candidates[0].content.parts), "streamed": thought(parts)}


def embeddings(model):
    client = genai.Client()
    reply = client.models.embed_content(model="gemini-embedding-001", contents=["Who?", "Where?"])
    return {"vectors": [embedding.values for embedding in reply.embeddings]}


def models(model):
    client = genai.Client()
    counted = client.models.count_tokens(model=model, contents="Say hello.").total_tokens
    return {"models": [found.name.removeprefix("models/") for found in client.models.list()], "counted": counted}


CASES = [plain, streamed, streamed_usage, tools, streamed_tools, vision, structured, thinking, embeddings, models]
obey(CASES, "google-genai")
