"""Tool use with the anthropic package: a tool looks up a calendar.

Shows: personal data in tool arguments is redacted too; the tool never sees the address.
Start: iron-cage start python/examples/anthropic_tools.py --budget 1
Needs: anthropic; ANTHROPIC_API_KEY
"""

from anthropic import Anthropic

TOOL = {
    "name": "invite",
    "description": "Invite somebody to a meeting.",
    "input_schema": {
        "type": "object",
        "properties": {"who": {"type": "string"}, "hour": {"type": "integer"}},
        "required": ["who", "hour"],
    },
}

client = Anthropic()
messages = [{"role": "user", "content": "Invite our designer (look up her address yourself) for 15:00."}]
while True:
    reply = client.messages.create(model="claude-haiku-4-5", max_tokens=200, messages=messages, tools=[TOOL])
    messages.append({"role": "assistant", "content": reply.content})
    calls = [block for block in reply.content if block.type == "tool_use"]
    if not calls:
        print("".join(block.text for block in reply.content if block.type == "text"))
        break
    results = []
    for call in calls:
        print(f"invite {call.input['who']} at {call.input['hour']}:00")
        results.append({"type": "tool_result", "tool_use_id": call.id, "content": "invited"})
    messages.append({"role": "user", "content": results})
