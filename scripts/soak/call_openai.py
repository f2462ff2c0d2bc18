"""Calls a model fifty times a second with one client of the real openai package, until there is the file that its argument
names."""

import asyncio
import json
import os
import sys

from openai import AsyncOpenAI

CALLS_PER_SECOND = 50


async def main(enough: str) -> None:
    client = AsyncOpenAI(max_retries=0)
    failures = []

    async def call() -> None:
        try:
            message = {"role": "user", "content": "Go."}
            await client.chat.completions.create(model="penny", max_tokens=1, messages=[message])
        except Exception as error:
            failures.append(f"{type(error).__name__}: {error}")

    print("begins", os.getpid(), flush=True)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    calls = []
    while not os.path.exists(enough):
        await asyncio.sleep(max(0.0, begun + len(calls) / CALLS_PER_SECOND - loop.time()))
        calls.append(asyncio.ensure_future(call()))
    await asyncio.gather(*calls)
    print(json.dumps({"calls": len(calls), "failures": failures[:5], "failed": len(failures), "pid": os.getpid()}))


asyncio.run(main(sys.argv[1]))
