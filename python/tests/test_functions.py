"""Decorated functions: ``protect_agent``, ``CircuitBreaker`` and ``fallback``, in a cage in memory."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

import iron_cage
from iron_cage import CircuitBreaker, CircuitOpen, MockRuntime, _circuit, current_runtime, fallback, protect_agent
from iron_cage.testing import assert_budget_exceeded, assert_circuit_open

DECORATORS: list[Callable[[Any], Any]] = [
    protect_agent,
    protect_agent(budget=5),
    protect_agent(5),
    protect_agent(budget="0.5", pii_detection="block", circuit_breaker=True),
    protect_agent(circuit_breaker={"failures": 3, "cooldown_s": 10}),
    protect_agent(circuit_breaker="serp_api"),
    protect_agent(circuit_breaker=None),
    CircuitBreaker("agent"),
]


@pytest.fixture(autouse=True)
def no_circuits_of_other_tests() -> None:
    iron_cage._breaker._circuits.clear()


@pytest.mark.parametrize("decorate", DECORATORS)
def test_a_function_stays_what_it_was(decorate: Any, iron_cage: MockRuntime) -> None:
    @decorate
    def agent(question: str, *, loud: bool = False) -> str:
        """Answers."""
        return question.upper() if loud else question

    assert agent("x", loud=True) == "X"
    assert (agent.__name__, agent.__doc__, agent.__qualname__.split(".")[-1]) == ("agent", "Answers.", "agent")
    assert str(inspect.signature(agent)) == "(question: 'str', *, loud: 'bool' = False) -> 'str'"
    with pytest.raises(TypeError, match="unexpected keyword"):
        agent("x", soft=True)


@pytest.mark.parametrize("decorate", DECORATORS)
def test_a_coroutine_function_stays_one(decorate: Any, iron_cage: MockRuntime) -> None:
    @decorate
    async def agent(place: int) -> int:
        await asyncio.sleep(0)
        assert current_runtime() is not None
        return place

    async def main() -> list[int]:
        return await asyncio.gather(*(agent(place) for place in range(20)))

    assert inspect.iscoroutinefunction(agent)
    assert asyncio.run(main()) == list(range(20))


@pytest.mark.parametrize("decorate", DECORATORS)
def test_a_generator_stays_one_with_all_that_generators_do(decorate: Any, iron_cage: MockRuntime) -> None:
    said: list[str] = []

    @decorate
    def agent() -> Iterator[Any]:
        try:
            answer = yield "first"
            try:
                yield answer
            except KeyError as error:
                yield f"caught {error}"
            return "result"  # noqa: B901
        finally:
            said.append("closed")

    assert inspect.isgeneratorfunction(agent)
    steps: Any = agent()
    assert (next(steps), steps.send("sent"), steps.throw(KeyError("k"))) == ("first", "sent", "caught 'k'")
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == "result"
    broken: Any = agent()
    next(broken)
    broken.close()
    assert said == ["closed", "closed"]


@pytest.mark.parametrize("decorate", DECORATORS)
def test_an_asynchronous_generator_stays_one(decorate: Any, iron_cage: MockRuntime) -> None:
    said: list[str] = []

    @decorate
    async def agent(pieces: int) -> AsyncIterator[int]:
        try:
            for piece in range(pieces):
                await asyncio.sleep(0)
                yield piece
        finally:
            said.append("closed")

    async def main() -> list[int]:
        first: Any = agent(3)
        assert await first.__anext__() == 0
        await first.aclose()
        return [piece async for piece in agent(3)]

    assert inspect.isasyncgenfunction(agent)
    assert asyncio.run(main()) == [0, 1, 2]
    assert said == ["closed", "closed"]


def test_methods_partials_and_objects_that_can_be_called_are_protected_too(iron_cage: MockRuntime) -> None:
    class Agent:
        @protect_agent
        def run(self, value: int) -> int:
            return value + 1

        async def __call__(self, value: int) -> int:
            return value + 2

    async def add(one: int, other: int) -> int:
        return one + other

    assert Agent().run(1) == 2
    assert asyncio.run(protect_agent(Agent())(1)) == 3
    assert asyncio.run(protect_agent(functools.partial(add, 1))(3)) == 4


def test_between_two_pieces_a_generator_is_not_in_its_runtime(iron_cage: MockRuntime) -> None:
    @protect_agent(budget=5)
    def agent() -> Iterator[Any]:
        yield current_runtime()
        yield current_runtime()

    for inside in agent():
        assert inside is not iron_cage
        assert current_runtime() is iron_cage


def test_all_calls_share_the_budget_and_an_inner_function_has_its_own_within(iron_cage: MockRuntime) -> None:
    ic = __import__("iron_cage")

    @protect_agent(budget="0.02")
    def inner() -> None:
        ic.record_cost("serp_api", "0.01")

    @protect_agent(budget="0.03")
    def outer() -> None:
        inner()

    outer()
    outer()
    with assert_budget_exceeded(limit="0.02"):
        outer()
    inner()  # outside of the other one it has its limit anew, within the runtime's
    assert iron_cage.budget.spent == Decimal("0.03")


def test_many_threads_in_one_function_never_spend_more_than_its_limit(iron_cage: MockRuntime) -> None:
    ic = __import__("iron_cage")
    refused: list[Any] = []

    @protect_agent(budget="0.05")
    def agent() -> None:
        try:
            ic.record_cost("serp_api", "0.01")
        except ic.BudgetExceeded as error:
            refused.append(error)

    threads = [threading.Thread(target=agent) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (iron_cage.budget.spent, len(refused)) == (Decimal("0.05"), 15)


@pytest.mark.parametrize("cage", [None, MockRuntime()])
def test_a_circuit_opens_after_failures_in_a_row_and_one_probe_closes_it(cage: MockRuntime | None) -> None:
    now = 0.0

    def guarded(fails: bool) -> str:
        with CircuitBreaker("serp_api", failures=2, cooldown_s=60):
            if fails:
                raise TimeoutError("no answer")
            return "answer"

    def pass_time(seconds: float) -> None:
        nonlocal now
        now += seconds
        if cage:
            cage.pass_time(seconds)

    def scenario() -> None:
        for fails in (True, False, True, True):
            try:
                guarded(fails)
            except TimeoutError:
                pass
        with assert_circuit_open("serp_api") as caught:
            guarded(False)
        assert caught.error.retry_after_s == 60
        pass_time(60)
        with pytest.raises(TimeoutError):  # the probe
            guarded(True)
        with assert_circuit_open("serp_api"):
            guarded(False)
        pass_time(60)
        assert [guarded(False) for _ in range(3)] == ["answer"] * 3

    if cage:
        with cage:
            scenario()
        assert cage.circuits == {"serp_api": "closed"}
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("iron_cage._breaker.time.monotonic", lambda: now)
            scenario()


def test_one_probe_at_a_time_and_a_result_of_before_changes_nothing() -> None:
    circuit = _circuit.Circuit("x")
    early = circuit.admit(60, 10, now=0)
    late = circuit.admit(60, 10, now=0)
    circuit.conclude(early, "failed", 1, 60, now=0)
    circuit.conclude(late, "succeeded", 1, 60, now=1)
    assert circuit.state == "open"
    probe = circuit.admit(60, 10, now=60)
    with pytest.raises(CircuitOpen):
        circuit.admit(60, 10, now=61)
    with pytest.raises(CircuitOpen):  # the probe gave no answer in time: open again
        circuit.admit(60, 10, now=71)
    circuit.conclude(probe, "succeeded", 1, 60, now=72)
    assert circuit.state == "open"


def test_a_refusal_of_the_cage_is_no_failure_of_what_is_called() -> None:
    breaker = CircuitBreaker("serp_api", failures=1, counts=ValueError)
    for error in (iron_cage.BudgetExceeded("no"), KeyError("mine"), KeyboardInterrupt()):
        with pytest.raises(type(error)), breaker:
            raise error
    with pytest.raises(ValueError), breaker:
        raise ValueError
    with pytest.raises(CircuitOpen), breaker:
        pass


def test_a_fallback_answers_with_a_value_or_a_function_sync_or_async() -> None:
    def broken(word: str) -> str:
        raise CircuitOpen(word)

    async def broken_async(word: str) -> str:
        raise CircuitOpen(word)

    async def other(word: str) -> str:
        return word * 2

    assert fallback("none")(broken)("x") == "none"
    assert fallback(str.upper)(broken)("x") == "X"
    assert asyncio.run(fallback(other)(broken_async)("x")) == "xx"
    assert asyncio.run(fallback([])(broken_async)("x")) == []
    with pytest.raises(CircuitOpen):
        fallback("none", on=TimeoutError)(broken)("x")
    with pytest.raises(TypeError, match="generator"):

        @fallback("none")
        def pieces() -> Iterator[int]:
            yield 1


def test_names_that_a_circuit_cannot_have_are_refused() -> None:
    for name in ("", "a b", "ä", "x" * 61):
        with pytest.raises(ValueError, match="short name"):
            CircuitBreaker(name)


@pytest.mark.parametrize("wanted, circuit", [({"failures": 1}, "agent"), ({"name": "x", "failures": 1}, "x")])
def test_a_dict_of_arguments_makes_the_breaker(wanted: Any, circuit: str, iron_cage: MockRuntime) -> None:
    @protect_agent(circuit_breaker=wanted)
    def agent() -> None:
        raise OSError

    with pytest.raises(OSError):
        agent()
    with pytest.raises(CircuitOpen) as opened:
        agent()
    assert opened.value.circuit == circuit
