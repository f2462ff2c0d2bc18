"""Calls at a steady rate, regardless of the number of workers.

Shows: the agent's own limiter in front of the model (20 calls a second, 4 at once); everything in one event log.
Start: iron-cage start python/examples/pattern_rate_limit.py --budget 1
Needs: openai; OPENAI_API_KEY
"""

import asyncio
import time

from openai import AsyncOpenAI

import iron_cage


class Pace:
    """Lets ``per_second`` through, evenly, and ``at_once`` run at the same time."""

    def __init__(self, per_second: float, at_once: int) -> None:
        self._gap_s = 1 / per_second
        self._running = asyncio.Semaphore(at_once)
        self._free_at = 0.0

    async def __aenter__(self) -> None:
        await self._running.acquire()
        now = time.monotonic()
        begin = self._free_at = max(now, self._free_at + self._gap_s)
        await asyncio.sleep(begin - now)

    async def __aexit__(self, *_: object) -> None:
        self._running.release()


async def main() -> None:
    client = AsyncOpenAI()
    pace = Pace(per_second=20, at_once=4)

    async def translate(word: str) -> str:
        async with pace:
            reply = await client.chat.completions.create(
                model="gpt-4o-mini",
                max_tokens=10,
                messages=[{"role": "user", "content": f"The German word for {word}, only the word."}],
            )
            return reply.choices[0].message.content.strip(" .")

    words = ["water", "bread", "house", "tree", "river", "stone", "bird", "moon"]
    began = time.monotonic()
    print(", ".join(await asyncio.gather(*map(translate, words))))
    # Eight calls have seven gaps of a twentieth of a second between them.
    print("never faster than allowed" if time.monotonic() - began >= 7 / 20 else "too fast")
    iron_cage.progress(len(words), len(words), "words")


asyncio.run(main())
