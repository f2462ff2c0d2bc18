"""The openai package's client of Azure."""

from lockstep import CITY, QUESTION, obey
from openai import AzureOpenAI, OpenAI

HELLO = [{"role": "user", "content": "Say hello."}]
TOOLS = [{"type": "function", "function": {"name": "warmth", "description": "How warm it is", "parameters": CITY}}]


def plain(model):
    reply = AzureOpenAI().chat.completions.create(model=model, messages=HELLO, max_tokens=50)
    return {"text": reply.choices[0].message.content}


def streamed(model):
    stream = AzureOpenAI().chat.completions.create(model=model, messages=HELLO, max_tokens=50, stream=True)
    return {"text": "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)}


def tools(model):
    asked = [{"role": "user", "content": QUESTION}]
    reply = AzureOpenAI().chat.completions.create(model=model, messages=asked, tools=TOOLS, max_tokens=50)
    return {"text": reply.choices[0].message.content}


def embeddings(model):
    return {"count": len(AzureOpenAI().embeddings.create(model=model, input=["Who?"], encoding_format="float").data)}


def version_one(model):
    """The address without versions, with the client of OpenAI."""
    azure = AzureOpenAI()
    client = OpenAI(base_url=f"{azure.base_url}".removesuffix("/") + "/v1/", api_key=azure.api_key)
    return {
        "text": client.chat.completions.create(model=model, messages=HELLO, max_tokens=50).choices[0].message.content
    }


obey([plain, streamed, tools, embeddings, version_one], "openai")
