"""google-genai, ollama and cohere, whole: every object that they make of an exchange."""

import json
import os

import cohere
import ollama
from google import genai
from google.genai import types
from lockstep import obey


def body():
    return json.loads(os.environ["ORACLE_BODY"])


def shown(value):
    return json.loads(value.model_dump_json()) if hasattr(value, "model_dump_json") else value


def all_of(stream):
    return {"chunks": [shown(chunk) for chunk in stream]}


def _google():
    # A client that nothing refers to any more closes its connections.
    client = genai.Client(
        api_key=os.environ["ORACLE_KEY"], http_options=types.HttpOptions(base_url=os.environ["ORACLE_URL"])
    )
    asked = body()
    text = asked["contents"][0]["parts"][0]["text"]
    config = types.GenerateContentConfig(max_output_tokens=asked["generationConfig"]["maxOutputTokens"])
    return client, {"model": "oracle", "contents": text, "config": config}


def _response(reply):
    reply.sdk_http_response = None
    return shown(reply)


def google(model):
    client, asked = _google()
    return _response(client.models.generate_content(**asked))


def google_streamed(model):
    client, asked = _google()
    return {"chunks": [_response(chunk) for chunk in client.models.generate_content_stream(**asked)]}


def _ollama():
    return ollama.Client(host=os.environ["ORACLE_URL"], headers={"Authorization": f"Bearer {os.environ['ORACLE_KEY']}"})


def ollama_whole(model):
    return shown(_ollama().chat(**body()))


def ollama_streamed(model):
    return all_of(_ollama().chat(**body()))


def _cohere():
    return cohere.ClientV2(api_key=os.environ["ORACLE_KEY"], base_url=os.environ["ORACLE_URL"])


def _asked():
    return {name: value for name, value in body().items() if name != "stream"}


def cohere_whole(model):
    return shown(_cohere().chat(**_asked()))


def cohere_streamed(model):
    return all_of(_cohere().chat_stream(**_asked()))


obey([google, google_streamed, ollama_whole, ollama_streamed, cohere_whole, cohere_streamed], "google-genai", "ollama")
