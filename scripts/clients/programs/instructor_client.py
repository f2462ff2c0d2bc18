"""Instructor: an answer as an object."""

import instructor
from cells import run
from pydantic import BaseModel


class Answer(BaseModel):
    text: str


client = instructor.from_provider("openai/gpt-4o-mini", mode=instructor.Mode.JSON)


def options(prompt, model):
    messages = [{"role": "user", "content": prompt}]
    return {"model": model, "max_tokens": 50, "messages": messages, "response_model": Answer}


def stream(prompt, model):
    before = ""
    for partial in client.chat.completions.create_partial(**options(prompt, model)):
        text = partial.text or ""
        yield text[len(before) :]
        before = text


run(
    "instructor", ask=lambda prompt, model: client.chat.completions.create(**options(prompt, model)).text, stream=stream
)
