"""The cost of the Python SDK for an agent: importing it, and one call of a protected function. Prints medians, judges nothing.

Calls are measured in processor time, which other programs of a busy machine do not change; imports in time that passes.

    python3 scripts/bench-sdk.py
"""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

SDK = str(Path(__file__).resolve().parents[1] / "python")
sys.path.insert(0, SDK)
CALLS = 20_000


def import_ms(statement: str) -> float:
    code = f"import sys, time; sys.path.insert(0, {SDK!r}); t = time.perf_counter(); {statement}; print((time.perf_counter() - t) * 1e3)"
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(15)
    ]
    return statistics.median(runs)


def call_us(function: object, calls: int = CALLS) -> float:
    def once() -> float:
        begun = time.process_time()
        for _ in range(calls):
            function()
        return (time.process_time() - begun) / calls * 1e6

    return statistics.median(once() for _ in range(7))


def async_call_us(function: object) -> float:
    async def once() -> float:
        begun = time.process_time()
        for _ in range(CALLS):
            await function()
        return (time.process_time() - begun) / CALLS * 1e6

    return statistics.median(asyncio.run(once()) for _ in range(7))


def nothing() -> None:
    pass


async def nothing_async() -> None:
    pass


def main() -> None:
    print(f"import iron_cage                        {import_ms('import iron_cage'):8.1f} ms")
    print(f"from iron_cage import protect_agent     {import_ms('from iron_cage import protect_agent'):8.1f} ms")

    from iron_cage import MockRuntime, protect_agent

    bare, bare_async = call_us(nothing), async_call_us(nothing_async)

    def tell(what: str, cost: float) -> None:
        print(f"{what:<39} {cost:8.2f} µs")

    os.environ.update(IRON_CAGE_URL="http://127.0.0.1:9", IRON_CAGE_TOKEN="run_nobody")
    tell("a call, supervised", call_us(protect_agent(nothing)) - bare)
    tell("a call of a coroutine, supervised", async_call_us(protect_agent(nothing_async)) - bare_async)
    with MockRuntime():
        tell("a call, inside a runtime", call_us(protect_agent(nothing)) - bare)
        limited = protect_agent(budget=5)(nothing)
        limited()
        tell("a call with a budget of its own", call_us(limited) - bare)


main()
