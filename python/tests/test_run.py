from __future__ import annotations

import os
import select
import threading
import unittest
import warnings
from decimal import Decimal
from typing import Any

from server import Answer, CagedTestCase, Request  # first: it finds iron_cage

import iron_cage

BUDGET = {
    "limit_usd": "50",
    "spent_usd": "45.07",
    "held_usd": "0.24",
    "remaining_usd": "4.69",
    "used_percent": 90.14,
    "warned": True,
}


class Reporting(CagedTestCase):
    def test_progress_goes_to_the_server_with_the_run_token(self) -> None:
        iron_cage.progress(23, 100, "leads", label="Acme Corp")
        self.assertEqual((self.last.method, self.last.path), ("POST", "/api/run/progress"))
        self.assertEqual(self.last.headers["authorization"], "Bearer run-token")
        self.assertEqual(self.last.body, {"done": 23, "total": 100, "unit": "leads", "label": "Acme Corp"})

    def test_an_outcome_leaves_out_what_is_not_known(self) -> None:
        iron_cage.outcome("failed", degraded=True, latency_ms=12.6, reason="no answer")
        self.assertEqual(
            self.last.body, {"outcome": "failed", "degraded": True, "latency_ms": 13, "reason": "no answer"}
        )

    def test_an_event_carries_its_data_even_when_json_cannot_hold_it(self) -> None:
        iron_cage.event("switched model", "WARN", price=Decimal("0.5"))
        self.assertEqual(self.last.path, "/api/run/events")
        self.assertEqual(self.last.body, {"level": "WARN", "message": "switched model", "data": {"price": "0.5"}})

    def test_a_failing_server_is_one_warning_and_never_an_exception(self) -> None:
        self.refuse(503, "database_unusable")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            iron_cage.progress(1)
            iron_cage.outcome("succeeded")
            iron_cage.event("hello", not_a_number=float("nan"))
        self.assertEqual(len(caught), 1)
        self.assertEqual(caught[0].filename, __file__.replace(".pyc", ".py"))

    def test_a_server_that_is_gone_is_a_warning(self) -> None:
        os.environ["IRON_CAGE_URL"] = "http://127.0.0.1:1"
        with self.assertWarnsRegex(RuntimeWarning, "http://127.0.0.1:1 is not reachable: Connection refused"):
            iron_cage.progress(1)


class Checkpoints(CagedTestCase):
    def test_a_checkpoint_comes_back(self) -> None:
        kept: list[Any] = []

        def answer(request: Request) -> Answer:
            if request.method == "PUT":
                kept.append(request.body["data"])
                return Answer(200, {"version": len(kept)})
            return Answer(200, {"version": len(kept), "data": kept[-1]})

        self.server.answer = answer
        iron_cage.checkpoint({"done": 40, "notes": ["ü", "😀"]})
        self.assertEqual(iron_cage.restore(), {"done": 40, "notes": ["ü", "😀"]})

    def test_without_one_the_default_comes_back(self) -> None:
        self.refuse(404, "not_found")
        self.assertEqual(iron_cage.restore(default=7), 7)

    def test_a_failing_server_raises_because_starting_over_would_pay_twice(self) -> None:
        self.refuse(503, "database_unusable", "the database cannot be written")
        with self.assertRaises(iron_cage.IronCageError) as caught:
            iron_cage.restore()
        self.assertEqual(
            (caught.exception.code, caught.exception.status, caught.exception.request_id),
            ("database_unusable", 503, "req-1"),
        )
        self.assertEqual(str(caught.exception), "the database cannot be written (do this)")

    def test_what_json_cannot_hold_is_refused_before_it_is_sent(self) -> None:
        with self.assertRaises(TypeError):
            iron_cage.checkpoint(object())
        with self.assertRaises(ValueError):
            iron_cage.checkpoint(float("inf"))
        self.assertEqual(self.server.requests, [])


class Money(CagedTestCase):
    def test_the_budget_is_exact(self) -> None:
        self.answer(200, {"agent_id": "lg-1", "budget": BUDGET})
        budget = iron_cage.current_budget()
        self.assertEqual(
            budget,
            iron_cage.Budget(Decimal("50"), Decimal("45.07"), Decimal("0.24"), Decimal("4.69"), 90.14, True),
        )

    def test_a_cost_is_sent_as_an_exact_decimal(self) -> None:
        self.answer(200, {"budget": BUDGET})
        amounts: list[tuple[Any, str]] = [
            ("0.10", "0.1"),
            (0.1, "0.1"),
            (0.1 + 0.2, "0.3"),
            (Decimal("12.000000001"), "12.000000001"),
            (1e-9, "0.000000001"),
            (100, "100"),
            (0, "0"),
        ]
        for given, sent in amounts:
            iron_cage.record_cost("serp_api", given, "a search")
            self.assertEqual(self.last.body, {"service": "serp_api", "cost_usd": sent, "description": "a search"})

    def test_a_request_is_sent_with_its_reason_and_read_again_by_its_id(self) -> None:
        asked = {"id": "request-1", "budget": "team research", "add_usd": "2.5", "reason": "more leads"}
        self.answer(200, {**asked, "asked_at": "2026-01-02T03:04:05.000Z", "state": "pending", "decision": None})
        request = iron_cage.request_budget(2.5, "more leads")
        self.assertEqual((self.last.method, self.last.path), ("POST", "/api/run/budget-requests"))
        self.assertEqual(self.last.body, {"add_usd": "2.5", "reason": "more leads"})
        self.assertEqual(
            request,
            iron_cage.BudgetRequest("request-1", "team research", Decimal("2.5"), "more leads", "pending", None),
        )
        self.answer(200, {**asked, "state": "rejected", "decision": "too much"})
        decided = iron_cage.budget_request("a/b")
        self.assertEqual((self.last.method, self.last.path), ("GET", "/api/run/budget-requests/a%2Fb"))
        self.assertEqual((decided.state, decided.decision), ("rejected", "too much"))

    def test_nothing_more_is_not_asked_for(self) -> None:
        for amount in ("ten", -1, 0, "0.0", 1e-10, None):
            with self.assertRaises(ValueError, msg=repr(amount)):
                iron_cage.request_budget(amount, "more")  # type: ignore[arg-type]
        self.assertEqual(self.server.requests, [])

    def test_what_is_no_amount_is_refused_before_it_is_sent(self) -> None:
        for amount in ("ten", "", -1, float("nan"), float("inf"), "1e400", None):
            with self.assertRaises(ValueError, msg=repr(amount)):
                iron_cage.record_cost("serp_api", amount)  # type: ignore[arg-type]
        self.assertEqual(self.server.requests, [])

    def test_a_spent_budget_raises_with_its_facts(self) -> None:
        facts = {"limit_usd": "50", "spent_usd": "49.99", "needed_usd": "0.1"}
        self.refuse(402, "budget_exceeded", "lg-1 needs $0.10", facts)
        with self.assertRaises(iron_cage.BudgetExceeded) as caught:
            iron_cage.record_cost("serp_api", "0.10")
        error = caught.exception
        self.assertEqual((error.limit_usd, error.spent_usd, error.needed_usd), tuple(map(Decimal, facts.values())))


class Scanning(CagedTestCase):
    def test_positions_are_those_of_the_python_string(self) -> None:
        text = "😀😀 a@b.example"
        # The server counts UTF-16 units: each of the two faces is two of them.
        finding = {"type": "email", "start": 5, "end": 16, "risk": "HIGH"}
        self.answer(200, {"findings": [finding], "redacted": "😀😀 [EMAIL_REDACTED]"})
        result = iron_cage.scan(text)
        self.assertEqual([text[one.start : one.end] for one in result.findings], ["a@b.example"])
        self.assertEqual(result.redacted, "😀😀 [EMAIL_REDACTED]")


class Services(CagedTestCase):
    def test_a_service_is_called_through_the_gateway(self) -> None:
        self.assertEqual(
            iron_cage.service_url("linkedin_api"), f"{self.server.url}/gateway/run-token/services/linkedin_api"
        )


class Refusals(CagedTestCase):
    def test_each_code_has_its_class(self) -> None:
        rows: list[tuple[int, str, type[iron_cage.IronCageError]]] = [
            (402, "budget_exceeded", iron_cage.BudgetExceeded),
            (422, "pii_blocked", iron_cage.PiiBlocked),
            (503, "circuit_open", iron_cage.CircuitOpen),
            (401, "unauthorized", iron_cage.AccessDenied),
            (403, "forbidden", iron_cage.AccessDenied),
            (403, "agent_not_running", iron_cage.AccessDenied),
            (403, "price_unknown", iron_cage.PriceUnknown),
            (503, "vault_locked", iron_cage.VaultLocked),
            (429, "budget_held", iron_cage.IronCageError),
            (500, "internal", iron_cage.IronCageError),
        ]
        for status, code, kind in rows:
            self.refuse(status, code)
            with self.assertRaises(iron_cage.IronCageError, msg=code) as caught:
                iron_cage.current_budget()
            self.assertIs(type(caught.exception), kind, code)

    def test_an_open_circuit_tells_when_it_is_tried_again(self) -> None:
        self.refuse(503, "circuit_open", facts={"circuit": "linkedin_api"}, retry_after="30")
        with self.assertRaises(iron_cage.CircuitOpen) as caught:
            iron_cage.current_budget()
        self.assertEqual((caught.exception.circuit, caught.exception.retry_after_s), ("linkedin_api", 30.0))

    def test_an_answer_that_is_not_ours_still_becomes_an_error(self) -> None:
        for body in (b"<html>", b"", b"[]", b'{"error": "text"}'):
            self.answer(502, body)
            with self.assertRaisesRegex(iron_cage.IronCageError, "status 502", msg=repr(body)):
                iron_cage.current_budget()

    def test_exceptions_survive_pickling(self) -> None:
        import pickle

        error = iron_cage.BudgetExceeded("no", code="budget_exceeded", status=402, facts={"limit_usd": "5"})
        copy = pickle.loads(pickle.dumps(error))
        self.assertEqual((type(copy), str(copy), copy.status, copy.limit_usd), (type(error), "no", 402, Decimal(5)))


class Connections(CagedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.answer(200, {"budget": BUDGET})

    def test_a_connection_is_used_again(self) -> None:
        for _ in range(3):
            iron_cage.current_budget()
        self.assertEqual(len({request.client for request in self.server.requests}), 1)

    def test_a_connection_that_the_server_closed_is_not_used_again(self) -> None:
        self.server.answer = lambda request: Answer(200, {"budget": BUDGET}, hang_up=True)
        for _ in range(5):
            iron_cage.current_budget()
            ((_, _, idle),) = iron_cage._link._endpoints[self.server.url]._idle
            select.select([idle.sock], [], [], 300)  # until the hanging up has arrived
        self.assertEqual(len({request.client for request in self.server.requests}), 5)

    def test_threads_do_not_share_a_connection_at_one_time(self) -> None:
        together = threading.Barrier(8)
        failures: list[BaseException] = []

        def ask() -> None:
            try:
                for _ in range(25):
                    together.wait(timeout=300)
                    self.assertEqual(iron_cage.current_budget().spent_usd, Decimal("45.07"))
            except BaseException as error:
                failures.append(error)
                together.abort()

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(len(self.server.requests), 200)

    @unittest.skipUnless(hasattr(os, "fork"), "there is no fork on this platform")
    def test_a_forked_child_opens_its_own_connection(self) -> None:
        iron_cage.current_budget()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking while the server's thread runs
            child = os.fork()
        if child == 0:
            try:
                iron_cage.current_budget()
                os._exit(0)
            except BaseException:
                os._exit(1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        iron_cage.current_budget()
        parent, forked, again = (request.client for request in self.server.requests)
        self.assertNotEqual(parent, forked)
        self.assertEqual(parent, again)

    def test_a_silent_server_is_given_up(self) -> None:
        release = threading.Event()
        self.addCleanup(release.set)

        def answer(request: Request) -> Answer:
            release.wait(30)
            return Answer(204)

        self.server.answer = answer
        iron_cage._link._endpoints[self.server.url] = iron_cage._http.Endpoint(self.server.url, timeout_s=0.1)
        with self.assertRaisesRegex(iron_cage.ServerUnreachable, "no answer within 0.1 s") as caught:
            iron_cage.current_budget()
        self.assertEqual(caught.exception.url, self.server.url)


class WithoutACage(unittest.TestCase):
    def setUp(self) -> None:
        from unittest import mock

        patch = mock.patch.dict(os.environ)
        patch.start()
        self.addCleanup(patch.stop)
        os.environ.pop("IRON_CAGE_URL", None)

    def test_reporting_does_nothing(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            iron_cage.progress(1, 2)
            iron_cage.outcome("succeeded")
            iron_cage.event("hello")
            iron_cage.checkpoint({"done": 1})
            iron_cage.record_cost("serp_api", "0.10")
        self.assertEqual(iron_cage.restore(default=3), 3)

    def test_asking_says_what_to_do(self) -> None:
        for ask in (
            iron_cage.current_budget,
            lambda: iron_cage.scan("x"),
            lambda: iron_cage.service_url("x"),
            lambda: iron_cage.request_budget(1, "more"),
            lambda: iron_cage.budget_request("x"),
        ):
            with self.assertRaisesRegex(iron_cage.ServerUnreachable, "iron-cage start"):
                ask()


if __name__ == "__main__":
    unittest.main()
