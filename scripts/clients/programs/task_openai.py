"""The openai package, behind LiteLLM's proxy."""

from openai import OpenAI

client = OpenAI(max_retries=0)
parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
tools = [
    {"type": "function", "function": {"name": "warmth", "description": "How warm it is", "parameters": parameters}}
]
messages = [{"role": "user", "content": "How warm is it in Oslo?"}]
said = client.chat.completions.create(model="haiku", messages=messages, tools=tools, max_tokens=300).choices[0].message
messages += [said, {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "4 degrees in Oslo"}]
stream = client.chat.completions.create(
    model="haiku", messages=messages, tools=tools, max_tokens=300, stream=True, stream_options={"include_usage": True}
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="")
print()
