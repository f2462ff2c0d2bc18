"""google-genai: Gemini, with a function that the client calls by itself."""

from cells import run, warmth
from google import genai
from google.genai import types

client = genai.Client()
SHORT = types.GenerateContentConfig(max_output_tokens=50)
TOOLS = types.GenerateContentConfig(max_output_tokens=50, tools=[warmth])


def ask(prompt, model):
    return client.models.generate_content(model=model, contents=prompt, config=SHORT).text


def stream(prompt, model):
    for piece in client.models.generate_content_stream(model=model, contents=prompt, config=SHORT):
        yield piece.text or ""


def tools(prompt, model):
    return client.models.generate_content(model=model, contents=prompt, config=TOOLS).text


run("google-genai", ask=ask, stream=stream, tools=tools)
