"""Makes calls at once with one client of the real openai package, which retries as it does by default. Prints how many were
answered, after how many seconds, and the other outcomes."""

import asyncio
import collections
import json
import sys
import time

from openai import AsyncOpenAI

CLIENT_TIMEOUT_S = 5


async def main(base_url: str, api_key: str, count: int) -> None:
    client = AsyncOpenAI(base_url=base_url, api_key=api_key, timeout=CLIENT_TIMEOUT_S)

    async def call() -> str:
        try:
            message = {"role": "user", "content": "Go."}
            await client.chat.completions.create(model="penny", max_tokens=5, messages=[message])
        except Exception as error:
            return type(error).__name__
        return "answered"

    begun = time.monotonic()
    outcomes = collections.Counter(await asyncio.gather(*(call() for _ in range(count))))
    print(
        json.dumps({"seconds": time.monotonic() - begun, "answered": outcomes.pop("answered", 0), "failed": outcomes})
    )


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
