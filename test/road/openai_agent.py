"""An agent as anybody writes one: nothing in it knows of a cage."""

from openai import OpenAI

client = OpenAI()
question = [{"role": "user", "content": "Whom do I ask?"}]

whole = client.chat.completions.create(model="gpt-4o-mini", messages=question, max_tokens=50)
print("whole:", whole.choices[0].message.content)

pieces = client.chat.completions.create(model="gpt-4o-mini", messages=question, max_tokens=50, stream=True)
print("streamed:", "".join(chunk.choices[0].delta.content or "" for chunk in pieces if chunk.choices))

with_usage = client.chat.completions.create(
    model="gpt-4o-mini", messages=question, max_tokens=50, stream=True, stream_options={"include_usage": True}
)
print("usage:", [chunk.usage.total_tokens for chunk in with_usage if chunk.usage])
