"""The formats in which a mocked cage answers: for the path of a request, the reply that a provider's clients expect
there."""

from __future__ import annotations

import json
import math
import re
import zlib
from dataclasses import dataclass
from typing import Any, Callable

from ._mock_llm import (
    anthropic_reply,
    anthropic_stream,
    gemini_reply,
    gemini_stream,
    openai_reply,
    openai_response,
    openai_response_stream,
    openai_stream,
)

_DIMENSIONS = 64


@dataclass(frozen=True)
class Format:
    """One route of a provider.

    path: below the provider's address.
    reply: makes a whole answer of a text, or None, a model and calls of tools.
    stream: makes server-sent events of a whole answer.
    messages: the field of a request with the conversation.
    """

    provider: str
    path: str
    reply: Callable[..., dict[str, Any]]
    stream: Callable[[dict[str, Any]], bytes]
    messages: str


_FORMATS = (
    Format("openai", r"(?:v1/)?chat/completions", openai_reply, openai_stream, "messages"),
    Format("openai", r"(?:v1/)?responses", openai_response, openai_response_stream, "input"),
    Format("anthropic", r"(?:v1/)?messages", anthropic_reply, anthropic_stream, "messages"),
    Format("google", r"(?:v\w+/)?models/[^:]+:(?:streamG|g)enerateContent", gemini_reply, gemini_stream, "contents"),
)
_EMBEDDINGS = (
    ("openai", r"(?:v1/)?embeddings"),
    ("google", r"(?:v\w+/)?models/[^:]+:(?:embedContent|batchEmbedContents)"),
)


@dataclass(frozen=True)
class ModelRequest:
    """A request to a model: its caller, its content, and the format of its answer; ``format``: None for embeddings."""

    token: str
    provider: str
    format: Format | None
    model: str
    messages: list[Any]
    is_streamed: bool


def model_request(path: str, content: Any) -> ModelRequest | None:
    """None when no model is called at the path."""
    match = re.fullmatch(r"/gateway/([^/]+)/(openai|anthropic|google)/(.+)", path)
    if match is None:
        return None
    token, provider, rest = match.groups()
    named = re.search(r"models/([^:]+):", rest)
    model = named[1] if named else str(content.get("model", ""))
    for one in _FORMATS:
        if one.provider == provider and re.fullmatch(one.path, rest):
            said = content.get(one.messages, [])
            messages = [{"role": "user", "content": said}] if isinstance(said, str) else said
            is_streamed = bool(content.get("stream")) or ":stream" in rest
            return ModelRequest(token, provider, one, model, messages, is_streamed)
    for vendor, pattern in _EMBEDDINGS:
        if vendor == provider and re.fullmatch(pattern, rest):
            return ModelRequest(token, provider, None, model, _embedded(content), False)
    return None


def embeddings(request: ModelRequest, content: Any) -> dict[str, Any]:
    """Vectors for the texts of the request. Texts that share words are near each other, and the same text is the same."""
    size = int(content.get("dimensions") or content.get("outputDimensionality") or _DIMENSIONS)
    vectors = [_vector(json.dumps(one), size) for one in request.messages]
    if request.provider == "google":
        values = [{"values": vector} for vector in vectors]
        return {"embeddings": values} if "requests" in content else {"embedding": values[0]}
    return {
        "object": "list",
        "model": request.model,
        "data": [
            {"object": "embedding", "index": index, "embedding": _encoded(vector, content.get("encoding_format"))}
            for index, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": 10 * len(vectors), "total_tokens": 10 * len(vectors)},
    }


def _embedded(content: Any) -> list[Any]:
    """The texts of a request, or lists of tokens."""
    if "requests" in content:
        return [one.get("content") for one in content["requests"]]
    said = content.get("input", content.get("content", ""))
    is_one = not isinstance(said, list) or (bool(said) and isinstance(said[0], int))
    return [said] if is_one else said


def _vector(text: str, size: int) -> list[float]:
    vector = [0.0] * size
    for word in re.findall(r"\w+", text.lower()):
        vector[zlib.crc32(word.encode()) % size] += 1.0
    length = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [value / length for value in vector]


def _encoded(vector: list[float], encoding: str | None) -> Any:
    if encoding != "base64":
        return vector
    import base64
    import struct

    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
