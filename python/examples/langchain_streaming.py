"""An answer printed while it streams.

Shows: streams are redacted as they arrive, even when personal data is split across chunks.
Start: iron-cage start python/examples/langchain_streaming.py --budget 1
Needs: langchain-anthropic; ANTHROPIC_API_KEY
"""

import asyncio

from langchain_anthropic import ChatAnthropic

from iron_cage import IronCageChain

letter = IronCageChain(llm=ChatAnthropic(model="claude-haiku-4-5", max_tokens=100))


async def main() -> None:
    pieces = 0
    async for piece in letter.astream("Write one line to a customer. Sign with the address jane.doe@example.org."):
        print(piece.text, end="")
        pieces += 1
    print()
    print("it came in pieces" if pieces > 1 else "it came at once")


asyncio.run(main())
