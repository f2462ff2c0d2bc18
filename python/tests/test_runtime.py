"""Runtimes and protected functions against the real program, with a scripted provider."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from program import NEEDS_PROGRAM, PROGRAM, ROOT
from server import Request, Server

import iron_cage
from iron_cage import AgentRuntime, BudgetExceeded, ChatClient, ServerUnreachable, protect_agent

pytestmark = NEEDS_PROGRAM

SAY_HELLO = [{"role": "user", "content": "Say hello."}]


def call() -> str:
    """Costs $0.01."""
    return ChatClient().complete("penny", SAY_HELLO, max_tokens=10).text


def servers_of(process: int) -> list[str]:
    found = subprocess.run(["ps", "-o", "args=", "--ppid", str(process)], capture_output=True, text=True).stdout
    return [line for line in found.splitlines() if str(PROGRAM) in line]


def test_a_block_has_a_server_of_its_own_a_hard_budget_redaction_and_leaves_nothing_behind(folder: Path) -> None:
    before = dict(os.environ)
    with AgentRuntime(budget="0.015", name="block") as runtime:
        assert len(servers_of(os.getpid())) == 1
        assert os.environ["OPENAI_BASE_URL"] == runtime.openai_base_url
        assert os.environ["ANTHROPIC_BASE_URL"] == runtime.anthropic_base_url
        assert call() == "Write to [EMAIL_REDACTED]"
        budget = runtime.budget
        assert (budget.limit, budget.spent, budget.remaining) == tuple(map(Decimal, ("0.015", "0.01", "0.005")))
        with pytest.raises(BudgetExceeded) as caught:
            call()
        assert (caught.value.limit_usd, caught.value.spent_usd) == (Decimal("0.015"), Decimal("0.01"))
        metrics = runtime.metrics()
        assert (metrics.calls, metrics.spent_usd, metrics.pii) == (1, Decimal("0.01"), {"email": 1})
        assert [finding.type for finding in runtime.scan("call 415-555-0132").findings] == ["phone"]
        runtime.checkpoint({"done": 3})
        assert runtime.restore() == iron_cage.restore() == {"done": 3}
        assert iron_cage.current_runtime() is runtime
    assert dict(os.environ) == before
    assert servers_of(os.getpid()) == []
    assert iron_cage.current_runtime() is None
    assert not list(folder.glob("iron_state*"))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no server can see which process calls it")
def test_no_address_holds_a_token_and_a_child_calls_as_the_block_does(provider: Server) -> None:
    ask = "import iron_cage; print(iron_cage.ChatClient().complete('penny', [{'role': 'user', 'content': 'Hi'}]).text)"
    with AgentRuntime(budget=1):
        for address in (os.environ["OPENAI_BASE_URL"], os.environ["ANTHROPIC_BASE_URL"], iron_cage.service_url("crm")):
            assert "/gateway/run-" in address
            assert os.environ["IRON_CAGE_TOKEN"] not in address
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
        child = subprocess.run(
            [sys.executable, "-c", ask], capture_output=True, text=True, env=environment, start_new_session=True
        )
        assert (child.stdout, child.stderr) == ("Write to [EMAIL_REDACTED]\n", "")
        assert call() == "Write to [EMAIL_REDACTED]"
    assert [request.headers["authorization"] for request in provider.requests] == ["Bearer sk-of-the-test"] * 2


def test_an_exception_stops_the_server_and_the_dashboard_says_failed(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError), AgentRuntime(budget=1, name="broken", db=folder / "kept.db"):
        raise ZeroDivisionError
    assert servers_of(os.getpid()) == []
    with AgentRuntime(db="kept.db"):
        admin = json.loads((folder / "kept.db.server").read_text())
        agents = iron_cage._link.Link(admin["url"], admin["token"]).ask("GET", "/api/agents")["agents"]
    facts = [(agent["name"], agent["state"], agent["reason"]) for agent in agents]
    assert ("broken", "failed", "ZeroDivisionError") in facts


def test_a_clients_own_exception_leaves_the_block_as_ours() -> None:
    openai = pytest.importorskip("openai")
    with pytest.raises(BudgetExceeded) as caught:
        with AgentRuntime(budget=0):
            openai.OpenAI().chat.completions.create(model="penny", messages=SAY_HELLO, max_tokens=10)
    assert isinstance(caught.value.__cause__, openai.APIStatusError)
    assert caught.value.limit_usd == 0


def test_block_mode_refuses_a_reply_with_personal_data() -> None:
    with AgentRuntime(budget=1, pii_detection="block"):
        with pytest.raises(iron_cage.PiiBlocked) as caught:
            call()
    assert caught.value.pii_types == ("email",)


def test_without_detection_a_reply_is_as_it_came() -> None:
    with AgentRuntime(budget=1, pii_detection=False):
        assert call() == "Write to ada@company.example"


def test_an_inner_runtime_joins_and_both_limits_hold() -> None:
    with AgentRuntime(budget=1) as outer:
        with AgentRuntime(budget="0.015") as inner:
            assert len(servers_of(os.getpid())) == 1
            assert os.environ["OPENAI_BASE_URL"] == inner.openai_base_url != outer.openai_base_url
            call()
            with pytest.raises(BudgetExceeded, match="this part of its work has"):
                call()
        assert os.environ["OPENAI_BASE_URL"] == outer.openai_base_url
        with AgentRuntime() as same:
            assert same.openai_base_url == outer.openai_base_url
        call()
        assert outer.budget.spent == Decimal("0.02")


def test_async_with_does_the_same_and_the_event_loop_goes_on_meanwhile() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    async def main() -> None:
        ticking = asyncio.ensure_future(tick())
        async with AgentRuntime(budget=1) as runtime:
            assert ticks > 10
            assert iron_cage.current_runtime() is runtime
            async with AgentRuntime(budget="0.5") as inner:
                assert inner.budget.limit == Decimal("0.5")
        ticking.cancel()

    asyncio.run(main())
    assert servers_of(os.getpid()) == []


def test_what_is_asked_for_waits_for_a_person() -> None:
    with AgentRuntime(budget="0.5"):
        asked = iron_cage.request_budget("2.5", "the list of ada@example.com is longer")
        assert (asked.state, asked.budget, asked.add_usd) == ("pending", "agent", Decimal("2.5"))
        assert asked.reason == "the list of [EMAIL_REDACTED] is longer"
        assert iron_cage.request_budget(2.5, "the list of ada@example.com is longer") == asked
        assert iron_cage.budget_request(asked.id) == asked
        with pytest.raises(iron_cage.IronCageError) as unknown:
            iron_cage.budget_request("req-0000000000000000")
        assert unknown.value.code == "not_found"


def test_tasks_side_by_side_are_each_in_their_own_runtime() -> None:
    async def spend(limit: str, calls: int) -> tuple[Decimal, Decimal]:
        async with AgentRuntime(budget=limit) as runtime:
            for _ in range(calls):
                await asyncio.sleep(0)
                assert iron_cage.current_runtime() is runtime
                iron_cage.record_cost("serp_api", "0.01")
            return runtime.budget.limit, runtime.budget.spent

    async def main() -> list[tuple[Decimal, Decimal]]:
        async with AgentRuntime(budget=1):
            return await asyncio.gather(*(spend(f"0.{place}", place) for place in range(1, 6)))

    expected = [(Decimal(f"0.{place}"), Decimal(f"0.0{place}")) for place in range(1, 6)]
    assert asyncio.run(main()) == expected


def test_threads_side_by_side_share_a_server_and_have_budgets_of_their_own() -> None:
    together = threading.Barrier(4)
    outcomes: list[Any] = []

    def agent(place: int) -> None:
        with AgentRuntime(budget="0.025") as runtime:
            together.wait(timeout=300)
            for _ in range(2):
                iron_cage.record_cost("serp_api", "0.01")
            outcomes.append((runtime.budget.spent, len(servers_of(os.getpid()))))
            together.wait(timeout=300)

    threads = [threading.Thread(target=agent, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [(Decimal("0.02"), 1)] * 4
    assert servers_of(os.getpid()) == []


def test_a_thread_of_the_main_threads_block_is_inside_of_it() -> None:
    seen: list[Any] = []
    with AgentRuntime(budget="0.01") as runtime:

        def work() -> None:
            seen.append(iron_cage.current_runtime() is runtime)
            with AgentRuntime(budget=5) as inner:
                seen.append(inner.budget.remaining)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert seen == [True, Decimal("0.01")]


def test_a_database_is_kept_and_a_server_that_has_it_is_joined(folder: Path) -> None:
    database = folder / "agents.db"
    with AgentRuntime(budget=1, name="first", db=database) as first:
        with AgentRuntime(budget=2, name="second", db=database) as second:
            assert second.link.url == first.link.url
            assert second.link.agent_id != first.link.agent_id
            assert second.budget.limit == 2
            assert len(servers_of(os.getpid())) == 1
    assert database.exists()
    assert servers_of(os.getpid()) == []


def test_a_program_that_is_killed_takes_its_server_with_it(folder: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'python')!r}); import iron_cage, time\nwith iron_cage.AgentRuntime() as r:\n print(r.link.url, flush=True); time.sleep(600)"
    program = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    url = program.stdout.readline().strip()
    server = iron_cage._link.Link(url, "")
    assert server.ask("GET", "/api/health")["status"] == "ok"
    program.send_signal(signal.SIGKILL)
    program.wait()
    program.stdout.close()
    deadline = time.monotonic() + 120
    with pytest.raises(ServerUnreachable):
        while time.monotonic() < deadline:
            server.ask("GET", "/api/health")
            time.sleep(0.05)


def test_why_a_server_did_not_start_is_told(folder: Path) -> None:
    (folder / "iron-cage.yaml").write_text("budgets: 5\n")
    before = dict(os.environ)
    with pytest.raises(ServerUnreachable, match="budgets"):
        with AgentRuntime():
            pass
    assert dict(os.environ) == before


def test_a_budget_that_is_none_is_refused_at_once() -> None:
    for budget in ("ten", -1, float("nan")):
        with pytest.raises(ValueError):
            AgentRuntime(budget=budget)
        with pytest.raises(ValueError):
            protect_agent(budget=budget)
    with pytest.raises(ValueError, match="pii_detection"):
        AgentRuntime(pii_detection="maybe")  # type: ignore[arg-type]


def test_a_protected_function_keeps_its_budget_over_its_calls_and_its_server_until_the_end() -> None:
    code = """
import os, sys
sys.path.insert(0, {path!r})
import iron_cage

@iron_cage.protect_agent(budget="0.025")
def agent(name):
    iron_cage.record_cost("serp_api", "0.01")
    return name, os.environ["OPENAI_BASE_URL"] == iron_cage.current_runtime().openai_base_url

print(agent("a"), agent("b"), "OPENAI_BASE_URL" in os.environ)
try:
    agent("c")
except iron_cage.BudgetExceeded as error:
    print(error.limit_usd, error.spent_usd)
""".format(path=str(ROOT / "python"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.stderr) == ("('a', True) ('b', True) False\n0.025 0.02\n", "")


def test_circuits_are_the_servers_and_the_event_log_shows_a_fallback() -> None:
    def search(query: str) -> str:
        raise TimeoutError(query)

    guarded = iron_cage.fallback("cached")(iron_cage.CircuitBreaker("serp_api", failures=2)(search))
    with AgentRuntime(budget=1, db="circuits.db"):
        for _ in range(2):
            with pytest.raises(TimeoutError):
                guarded("secret question")
        assert guarded("x") == "cached"
        with pytest.raises(iron_cage.CircuitOpen) as caught:
            with iron_cage.CircuitBreaker("serp_api"):
                pass
        assert caught.value.circuit == "serp_api" and 0 < (caught.value.retry_after_s or 0) <= 60
        admin = json.loads(Path("circuits.db.server").read_text())
        server = iron_cage._link.Link(admin["url"], admin["token"])
        assert [(one["name"], one["state"]) for one in server.ask("GET", "/api/circuits")["circuits"]] == [
            ("serp_api", "open")
        ]
        events = server.ask("GET", "/api/events?limit=100")["events"]
        assert [event["data"]["service"] for event in events if event["type"] == "fallback.used"] == ["serp_api"]
        assert "secret question" not in json.dumps(events)


def test_a_supervised_program_joins_and_needs_no_server(folder: Path, provider: Server) -> None:
    (folder / "agent.py").write_text(
        "import iron_cage, os\n"
        "@iron_cage.protect_agent\n"
        "def bare(): return iron_cage.ChatClient().complete('penny', [], max_tokens=10).cost_usd\n"
        "@iron_cage.protect_agent(budget='0.015')\n"
        "def limited(): return bare()\n"
        "print('bare', bare())\n"
        "print('limited', limited())\n"
        "try: limited()\n"
        "except iron_cage.BudgetExceeded as error: print('refused', error.limit_usd)\n"
        "with iron_cage.AgentRuntime() as runtime: print('left', runtime.budget.remaining)\n"
    )
    done = subprocess.run(
        ["node", PROGRAM, "start", "agent.py", "--budget", "1", "--port", "0", "--python", sys.executable],
        capture_output=True,
        text=True,
        timeout=300,
    )
    for line in ("bare 0.01", "limited 0.01", "refused 0.015", "left 0.98"):
        assert line in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_requests_are_what_the_provider_gets(provider: Server) -> None:
    with AgentRuntime(budget=1):
        call()
    requests: list[Request] = provider.requests
    assert [request.headers["authorization"] for request in requests] == ["Bearer sk-of-the-test"]


class Settings:
    budget = "0.015"
    name = "of an object"


def test_a_runtime_takes_a_dict_an_object_or_a_file(folder: Path) -> None:
    with AgentRuntime({"budget": "$0.015", "pii_detection": False}) as runtime:
        assert runtime.budget.limit == Decimal("0.015")
        assert call() == "Write to ada@company.example"
    for config in (Settings, Settings()):
        with AgentRuntime(config) as runtime:
            assert runtime.budget.limit == Decimal("0.015")
    path = folder / "other.yaml"
    path.write_text((folder / "iron-cage.yaml").read_text() + "budget: { limit_usd: 7 }\nsafety: { mode: block }\n")
    for same in (path, str(path)):
        with AgentRuntime(same) as runtime:
            assert runtime.budget.limit == 7
            with pytest.raises(iron_cage.PiiBlocked):
                call()
    with AgentRuntime(path, budget=3, pii_detection=True) as runtime:
        assert (runtime.budget.limit, call()) == (3, "Write to [EMAIL_REDACTED]")


def test_sections_of_a_dict_configure_the_server_and_mistakes_are_named(provider: Server, folder: Path) -> None:
    (folder / "iron-cage.yaml").unlink()
    config = {
        "providers": {"openai": {"base_url": f"{provider.url}/v1"}},
        "prices": {"penny": {"input_per_mtok": 0, "output_per_mtok": 1000}},
        "budget": {"limit_usd": "0.015"},
    }
    with AgentRuntime(config) as runtime:
        assert (runtime.budget.limit, call()) == (Decimal("0.015"), "Write to [EMAIL_REDACTED]")
        with pytest.warns(RuntimeWarning, match="the configuration given here is not used"), AgentRuntime(config):
            pass
    for wrong in ({"buget": 5}, {"budget": 5, "verbose": True}):
        with pytest.raises(ValueError, match="buget|verbose"), AgentRuntime(wrong):
            pass
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("wrong", ["missing.yaml", "-5", True, {"budget": "much"}, 9_000_001, float("nan")])
def test_what_is_no_configuration_and_no_amount_is_a_value_error(wrong: Any) -> None:
    with pytest.raises(ValueError, match="amount of US dollars"):
        AgentRuntime(wrong)


def test_the_configured_mode_holds_where_none_is_asked_for(folder: Path) -> None:
    with (folder / "iron-cage.yaml").open("a") as file:
        file.write("safety: { mode: block }\n")
    with pytest.raises(iron_cage.PiiBlocked), AgentRuntime(budget=1):
        call()


def test_a_class_is_not_protected() -> None:
    for decorator in (protect_agent, protect_agent(budget=1)):
        with pytest.raises(TypeError, match="decorate the methods of Settings"):
            decorator(Settings)


POOLS = """
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
import iron_cage
from iron_cage import AgentRuntime, ChatClient

def call(number):
    return ChatClient().complete("penny", [{"role": "user", "content": "Hi"}], max_tokens=10).text

def address(number):
    return os.environ.get("OPENAI_BASE_URL")

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    for limit in ("0.02", "0.03"):
        with AgentRuntime(budget=limit) as runtime:
            with ProcessPoolExecutor(2, mp_context=context) as pool:
                print(list(pool.map(call, range(2))), runtime.budget.spent)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        print(list(pool.map(address, [0])))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_a_pool_call_through_the_runtime_that_they_were_started_in(folder: Path, method: str) -> None:
    (folder / "pools.py").write_text(POOLS)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    command = [sys.executable, "pools.py", method]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    answers = "['Write to [EMAIL_REDACTED]', 'Write to [EMAIL_REDACTED]'] 0.02"
    assert ended.stdout.splitlines() == [answers, answers, "[None]"], ended.stderr


UNSHARED = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from iron_cage import ChatClient, IronCageError, protect_agent

@protect_agent(budget="0.02")
def call(number):
    return ChatClient().complete("penny", [{"role": "user", "content": "Hi"}], max_tokens=10).text

if __name__ == "__main__":
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(sys.argv[1])) as pool:
        try:
            print(list(pool.map(call, range(4))))
        except IronCageError as error:
            print(error.code)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_budget_is_not_multiplied_by_the_processes_of_a_pool(folder: Path, provider: Server, method: str) -> None:
    (folder / "unshared.py").write_text(UNSHARED)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    command = [sys.executable, "unshared.py", method]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert (ended.stdout, provider.requests) == ("not_caged\n", []), ended.stderr
