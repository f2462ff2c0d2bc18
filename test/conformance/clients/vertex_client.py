"""Clients of Vertex AI: the anthropic package, and google-genai."""

from anthropic import AnthropicVertex
from google import genai
from google.oauth2.credentials import Credentials
from lockstep import obey

HELLO = [{"role": "user", "content": "Say hello."}]


def vertex():
    return AnthropicVertex(project_id="house", region="europe-west1", access_token="of-the-client")


def gemini():
    return genai.Client(vertexai=True, project="house", location="europe-west1", credentials=Credentials("none"))


def plain(model):
    return {"text": vertex().messages.create(model=model, messages=HELLO, max_tokens=50).content[0].text}


def streamed(model):
    with vertex().messages.stream(model=model, messages=HELLO, max_tokens=50) as stream:
        return {"text": stream.get_final_message().content[0].text}


def counted(model):
    return {"count": vertex().messages.count_tokens(model=model, messages=HELLO).input_tokens}


def gemini_plain(_model):
    client = gemini()
    return {"text": client.models.generate_content(model="gemini-2.5-flash", contents="Say hello.").text}


def gemini_streamed(_model):
    client = gemini()
    stream = client.models.generate_content_stream(model="gemini-2.5-flash", contents="Say hello.")
    return {"text": "".join(part.text or "" for part in stream)}


obey([plain, streamed, counted, gemini_plain, gemini_streamed], "anthropic", "google-genai")
