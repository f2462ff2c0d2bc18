"""An agent that stops calling an outside service that is down, and continues without it.

Shows: CircuitBreaker stops calls to a failing service, for all agents of a server, and the dashboard shows the circuit;
fallback answers instead.
Start: iron-cage start python/examples/pattern_circuit_breaker.py --budget 1
Needs: nothing; OPENAI_API_KEY
"""

import iron_cage
from iron_cage import CircuitBreaker, CircuitOpen, fallback

YESTERDAY = {"Riga": 4, "Oslo": 1, "Bern": 7, "Rome": 15, "Bonn": 9, "Nice": 17}
attempts = []


@fallback(lambda town: YESTERDAY[town], on=(ConnectionError, CircuitOpen))
@CircuitBreaker("weather_station", failures=3, cooldown_s=60)
def temperature(town: str) -> int:
    attempts.append(town)
    raise ConnectionError("the station does not answer")


degrees = {town: temperature(town) for town in YESTERDAY}
print(f"{len(degrees)} questions, {len(attempts)} attempts")

question = f"Which town is warmest, one word: {degrees}"
reply = iron_cage.ChatClient().complete("gpt-4o-mini", [{"role": "user", "content": question}], max_tokens=10)
print(f"warmest: {reply.text}")
