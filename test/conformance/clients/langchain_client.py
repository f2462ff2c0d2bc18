"""LangChain: ChatOpenAI and ChatAnthropic, as the model's name begins."""

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from lockstep import PIXEL, QUESTION, obey
from lockstep import warmth as measure
from pydantic import BaseModel


def chat(name, **options):
    provider, model = name.split("/")
    return {"openai": ChatOpenAI, "anthropic": ChatAnthropic}[provider](model=model, max_tokens=50, **options)


@tool
def warmth(city: str) -> str:
    """How warm it is."""
    return measure(city)


def plain(model):
    reply = chat(model).invoke("Say hello.")
    return {"text": reply.text, "usage": [reply.usage_metadata["input_tokens"], reply.usage_metadata["output_tokens"]]}


def streamed(model):
    return {"text": "".join(chunk.text for chunk in chat(model).stream("Say hello."))}


def streamed_usage(model):
    chunks = list(chat(model, stream_usage=True).stream("Say hello."))
    usage = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    return {"usage": [sum(one[way] for one in usage) for way in ("input_tokens", "output_tokens")]}


def tools(model):
    model = chat(model).bind_tools([warmth])
    talk = [HumanMessage(QUESTION)]
    first = model.invoke(talk)
    results = [ToolMessage(warmth.invoke(call["args"]), tool_call_id=call["id"]) for call in first.tool_calls]
    return {"calls": calls_of(first), "text": model.invoke([*talk, first, *results]).text}


def streamed_tools(model):
    whole = None
    for chunk in chat(model).bind_tools([warmth]).stream(QUESTION):
        whole = chunk if whole is None else whole + chunk
    return {"calls": calls_of(whole)}


def calls_of(message):
    assert not message.invalid_tool_calls
    return [{"name": call["name"], "arguments": call["args"]} for call in message.tool_calls]


def vision(model):
    image = {"type": "image", "base64": PIXEL, "mime_type": "image/png"}
    asked = HumanMessage(content=[{"type": "text", "text": "What is this?"}, image])
    return {"text": chat(model).invoke([asked]).text}


class Place(BaseModel):
    city: str
    degrees: int


def structured(model):
    model = chat(model).with_structured_output(Place, method="json_schema")
    return model.invoke("Where is it warm?").model_dump()


def embeddings(_model):
    # Without counting tokens, for which it would fetch a vocabulary.
    model = OpenAIEmbeddings(model="text-embedding-3-small", check_embedding_ctx_length=False)
    return {"vectors": model.embed_documents(["one", "two"])}


def responses(model):
    return {"text": chat(model, use_responses_api=True).invoke("Say hello.").text}


def streamed_responses(model):
    model = chat(model, use_responses_api=True)
    return {"text": "".join(chunk.text for chunk in model.stream("Say hello."))}


def responses_tools(model):
    model = chat(model, use_responses_api=True).bind_tools([warmth])
    talk = [HumanMessage(QUESTION)]
    first = None
    for chunk in model.stream(talk):
        first = chunk if first is None else first + chunk
    results = [ToolMessage(warmth.invoke(call["args"]), tool_call_id=call["id"]) for call in first.tool_calls]
    return {"calls": calls_of(first), "text": model.invoke([*talk, first, *results]).text}


CASES = [plain, streamed, streamed_usage, tools, streamed_tools, vision, structured]
OPENAI = [embeddings, responses, streamed_responses, responses_tools]
obey([*CASES, *OPENAI], "langchain-openai", "langchain-anthropic")
