"""Ten concurrent questions with asyncio, each answer streamed.

Shows: concurrent streams are reserved against one budget; overall progress is on the dashboard.
Start: iron-cage start python/examples/openai_async.py --budget 1
Needs: openai; OPENAI_API_KEY
"""

import asyncio

from openai import AsyncOpenAI

import iron_cage

NUMBERS = range(1, 11)
client = AsyncOpenAI()
done = 0


async def spell(number: int) -> str:
    global done
    words = []
    stream = await client.chat.completions.create(
        model="gpt-4o-mini",
        max_tokens=20,
        stream=True,
        messages=[{"role": "user", "content": f"Spell out the number {number} in English, one word, nothing else."}],
    )
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            words.append(chunk.choices[0].delta.content)
    done += 1
    iron_cage.progress(done, len(NUMBERS), "numbers")
    return "".join(words)


async def main() -> None:
    words = await asyncio.gather(*map(spell, NUMBERS))
    print(", ".join(word.strip(" .").lower() for word in words))


asyncio.run(main())
