"""Tool use with the openai package, in a plain loop.

Shows: the code needs no change; the budget, redaction and stopping work all the same.
Start: iron-cage start python/examples/openai_tools.py --budget 1
Needs: openai; OPENAI_API_KEY
"""

import json

from openai import OpenAI

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "exchange_rate",
            "description": "What one unit of a currency is worth in another.",
            "parameters": {
                "type": "object",
                "properties": {"source": {"type": "string"}, "target": {"type": "string"}},
                "required": ["source", "target"],
            },
        },
    }
]
RATES = {("EUR", "USD"): 1.25}

client = OpenAI()
messages = [{"role": "user", "content": "What are 40 EUR in USD? Use the tool."}]
while True:
    reply = client.chat.completions.create(model="gpt-4o-mini", max_tokens=100, messages=messages, tools=TOOLS)
    message = reply.choices[0].message
    if not message.tool_calls:
        print(message.content)
        break
    messages.append(message)
    for call in message.tool_calls:
        wanted = json.loads(call.function.arguments)
        rate = RATES[wanted["source"], wanted["target"]]
        print(f"{wanted['source']} to {wanted['target']}: {rate}")
        messages.append({"role": "tool", "tool_call_id": call.id, "content": str(rate)})
