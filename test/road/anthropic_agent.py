"""An agent as anybody writes one: nothing in it knows of a cage."""

from anthropic import Anthropic

client = Anthropic()
question = [{"role": "user", "content": "Whom do I ask?"}]

whole = client.messages.create(model="claude-sonnet-4-5", max_tokens=50, messages=question)
print("whole:", whole.content[0].text)

with client.messages.stream(model="claude-sonnet-4-5", max_tokens=50, messages=question) as stream:
    print("streamed:", "".join(stream.text_stream))
