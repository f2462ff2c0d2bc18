"""As a beginner writes it with the anthropic package: one message that is streamed, and one at once."""

import anthropic

client = anthropic.Anthropic()

with client.messages.stream(
    model="claude-haiku-4-5",
    max_tokens=200,
    system="You are the front desk of a museum.",
    messages=[{"role": "user", "content": "Whom do I write to for a guided tour?"}],
) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)
print()

message = client.messages.create(
    model="claude-haiku-4-5",
    max_tokens=300,
    messages=[{"role": "user", "content": "Tell a bedtime story about a lighthouse in one sentence."}],
)
print(message.content[0].text)
