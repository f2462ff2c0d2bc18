"""Streaming with the anthropic package.

Shows: the code needs no change; the cost of the stream is on the dashboard when it ends.
Start: iron-cage start python/examples/anthropic_stream.py --budget 1
Needs: anthropic; ANTHROPIC_API_KEY
"""

from anthropic import Anthropic

client = Anthropic()
question = {"role": "user", "content": "Count from one to five in Spanish, one line."}
with client.messages.stream(model="claude-haiku-4-5", max_tokens=60, messages=[question]) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)
    print()
    print(f"ended: {stream.get_final_message().stop_reason}")
