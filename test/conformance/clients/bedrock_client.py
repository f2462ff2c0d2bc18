"""Clients of Amazon Bedrock: boto3 with Converse, and the anthropic package with InvokeModel."""

import base64
import json
import os

import boto3
from anthropic import AnthropicBedrock
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from lockstep import CITY, PIXEL, QUESTION, obey, warmth

HELLO = [{"role": "user", "content": [{"text": "Say hello."}]}]
SPEC = {"name": "warmth", "description": "How warm it is", "inputSchema": {"json": CITY}}
LIMIT = {"maxTokens": 50}


def client():
    # The default session would keep the keys of the first case.
    return boto3.Session().client("bedrock-runtime", region_name="us-east-1")


def said(message):
    return "".join(block.get("text", "") for block in message["content"])


def plain(model):
    return {"text": said(client().converse(modelId=model, messages=HELLO, inferenceConfig=LIMIT)["output"]["message"])}


def streamed(model):
    stream = client().converse_stream(modelId=model, messages=HELLO, inferenceConfig=LIMIT)["stream"]
    deltas = [event["contentBlockDelta"]["delta"] for event in stream if "contentBlockDelta" in event]
    return {"text": "".join(delta.get("text", "") for delta in deltas)}


def thinking(model):
    thought = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    stream = client().converse_stream(modelId=model, messages=HELLO, additionalModelRequestFields=thought)["stream"]
    deltas = [event["contentBlockDelta"]["delta"] for event in stream if "contentBlockDelta" in event]
    thoughts = [delta["reasoningContent"] for delta in deltas if "reasoningContent" in delta]
    return {"text": "".join(one.get("text", "") for one in thoughts), "signature": thoughts[-1].get("signature")}


def tools(model):
    asked = [{"role": "user", "content": [{"text": QUESTION}]}]
    config = {"tools": [{"toolSpec": SPEC}]}
    first = client().converse(modelId=model, messages=asked, toolConfig=config)["output"]["message"]
    results = [
        {"toolUseId": use["toolUseId"], "content": [{"text": warmth(**use["input"])}]}
        for use in (block["toolUse"] for block in first["content"] if "toolUse" in block)
    ]
    asked += [first, {"role": "user", "content": [{"toolResult": result} for result in results]}]
    return {"text": said(client().converse(modelId=model, messages=asked, toolConfig=config)["output"]["message"])}


def vision(model):
    image = {"image": {"format": "png", "source": {"bytes": base64.b64decode(PIXEL)}}}
    asked = [{"role": "user", "content": [{"text": "What is it?"}, image]}]
    return {"text": said(client().converse(modelId=model, messages=asked)["output"]["message"])}


def anthropic_plain(model):
    asked = [{"role": "user", "content": "Say hello."}]
    reply = AnthropicBedrock(aws_region="us-east-1").messages.create(model=model, messages=asked, max_tokens=50)
    return {"text": reply.content[0].text}


def anthropic_streamed(model):
    asked = [{"role": "user", "content": "Say hello."}]
    bedrock = AnthropicBedrock(aws_region="us-east-1")
    with bedrock.messages.stream(model=model, messages=asked, max_tokens=50) as stream:
        return {"text": stream.get_final_message().content[0].text}


def verified(model):
    """The headers that botocore itself would sign, beside the signed ones."""
    request = json.loads(os.environ["SIGNED_REQUEST"])
    sent = request["headers"]
    named = sent["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    credentials = Credentials("AKIA-of-the-server", "secret-of-the-server", sent.get("x-amz-security-token"))
    again = AWSRequest(request["method"], request["url"], {name: sent[name] for name in named}, request["body"])
    again.context["timestamp"] = sent["x-amz-date"]
    signer = SigV4Auth(credentials, "bedrock", "us-east-1")
    text = signer.string_to_sign(again, signer.canonical_request(again))
    return {"signature": signer.signature(text, again), "named": named}


obey(
    [plain, streamed, thinking, tools, vision, anthropic_plain, anthropic_streamed, verified],
    "boto3",
    "anthropic",
)
