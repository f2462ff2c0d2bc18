"""An agent that uses the openai package, and its tests with pytest.

Shows: the fixtures of iron_cage.testing; listen=True serves other clients; failures and circuits on demand.
Start: python3 -m pytest -q -p iron_cage.testing python/examples/testing_pytest.py
Needs: pytest openai
"""

import openai
import pytest

from iron_cage import CircuitBreaker, CircuitOpen, fallback
from iron_cage.testing import assert_budget_exceeded, pii_samples


@fallback("no weather today", on=(CircuitOpen, ConnectionError))
@CircuitBreaker("weather", failures=2)
def weather(town: str) -> str:
    raise ConnectionError("the station is down")


def travel_agent(town: str) -> str:
    """The agent under test: suggests things to pack."""
    question = {"role": "user", "content": f"What do I pack for {town}? Weather: {weather(town)}"}
    reply = openai.OpenAI(max_retries=0).chat.completions.create(
        model="gpt-4o-mini", max_tokens=50, messages=[question]
    )
    return reply.choices[0].message.content


caged = pytest.mark.iron_cage(budget="0.05", listen=True)


@caged
def test_it_works_without_the_weather(iron_cage, iron_cage_llm):
    iron_cage_llm.reply("An umbrella, just in case.")
    assert travel_agent("Bergen") == "An umbrella, just in case."
    assert "no weather today" in str(iron_cage_llm.calls[0].messages)


@caged
def test_a_station_that_is_down_is_not_asked_for_ever(iron_cage, iron_cage_llm):
    for _ in range(3):
        travel_agent("Bergen")
    assert iron_cage.circuits["weather"] == "open"


@caged
def test_the_budget_ends_it(iron_cage, iron_cage_llm):
    iron_cage_llm.reply("A coat.", cost_usd="0.05")
    travel_agent("Oslo")
    with assert_budget_exceeded():
        travel_agent("Oslo")


@caged
def test_a_provider_that_fails_is_an_error_of_its_own(iron_cage, iron_cage_llm):
    iron_cage_llm.fail(503)
    with pytest.raises(openai.InternalServerError):
        travel_agent("Rome")


@caged
@pytest.mark.parametrize("sample", pii_samples(6), ids=lambda sample: sample.type)
def test_personal_data_never_reaches_the_traveller(iron_cage, iron_cage_llm, sample):
    iron_cage_llm.reply(sample.text)
    assert sample.value not in travel_agent("Rome")
