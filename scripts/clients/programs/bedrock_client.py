"""boto3: Amazon Bedrock's Converse."""

import boto3
from cells import CITY, run, warmth

client = boto3.client("bedrock-runtime", region_name="us-east-1")
TOOLS = {"tools": [{"toolSpec": {"name": "warmth", "description": "How warm it is.", "inputSchema": {"json": CITY}}}]}
LIMIT = {"maxTokens": 50}


def user(*content):
    return {"role": "user", "content": list(content)}


def text_of(message):
    return "".join(block.get("text", "") for block in message["content"])


def converse(messages, model, **more):
    return client.converse(modelId=model, messages=messages, inferenceConfig=LIMIT, **more)["output"]["message"]


def ask(prompt, model):
    return text_of(converse([user({"text": prompt})], model))


def stream(prompt, model):
    reply = client.converse_stream(modelId=model, messages=[user({"text": prompt})], inferenceConfig=LIMIT)["stream"]
    try:
        for event in reply:
            yield event.get("contentBlockDelta", {}).get("delta", {}).get("text", "")
    finally:
        reply.close()


def tools(prompt, model):
    messages = [user({"text": prompt})]
    first = converse(messages, model, toolConfig=TOOLS)
    uses = [block["toolUse"] for block in first["content"] if "toolUse" in block]
    results = [{"toolUseId": use["toolUseId"], "content": [{"text": warmth(**use["input"])}]} for use in uses]
    messages += [first, user(*[{"toolResult": result} for result in results])]
    return text_of(converse(messages, model, toolConfig=TOOLS))


run("boto3", ask=ask, stream=stream, tools=tools)
