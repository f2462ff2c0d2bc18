from __future__ import annotations

import json
import unittest
from decimal import Decimal
from typing import Any

from server import Answer, CagedTestCase, Request  # first: it finds iron_cage

import iron_cage

MESSAGES = [{"role": "user", "content": "hello"}]
REPLY = {
    "model": "gpt-4-0613",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Grüße"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3000, "completion_tokens": 500, "total_tokens": 3500},
}


def frames(*data: Any) -> bytes:
    return b"".join(b"data: " + (one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n\n" for one in data)


def piece(text: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}}]}


class Whole(CagedTestCase):
    def test_a_reply_tells_what_it_cost(self) -> None:
        self.answer(200, REPLY, x_iron_cage_cost_usd="0.12")
        reply = iron_cage.ChatClient().complete("gpt-4", MESSAGES, max_tokens=500)
        self.assertEqual(reply, iron_cage.Reply("Grüße", "stop", "gpt-4-0613", 3000, 500, Decimal("0.12")))
        self.assertEqual(self.last.path, "/gateway/run-token/openai/v1/chat/completions")
        self.assertEqual(self.last.headers["authorization"], "Bearer sk-test")
        self.assertEqual(self.last.body, {"model": "gpt-4", "messages": MESSAGES, "max_tokens": 500})

    def test_a_refusal_of_the_cage_is_not_tried_again(self) -> None:
        rows: list[tuple[int, str, type[iron_cage.IronCageError]]] = [
            (402, "budget_exceeded", iron_cage.BudgetExceeded),
            (403, "price_unknown", iron_cage.PriceUnknown),
            (422, "pii_blocked", iron_cage.PiiBlocked),
        ]
        for status, code, kind in rows:
            self.server.requests.clear()
            self.answer(status, {"error": {"message": "no", "type": "x", "param": None, "code": code}})
            with self.assertRaises(kind):
                iron_cage.ChatClient().complete("gpt-4", MESSAGES)
            self.assertEqual(len(self.server.requests), 1, code)

    def test_a_503_that_should_not_be_tried_again_is_not(self) -> None:
        self.refuse(503, "circuit_open", x_should_retry="false")
        with self.assertRaises(iron_cage.CircuitOpen):
            iron_cage.ChatClient().complete("gpt-4", MESSAGES)
        self.assertEqual(len(self.server.requests), 1)

    def test_held_money_is_waited_for(self) -> None:
        def answer(request: Request) -> Answer:
            if len(self.server.requests) == 1:
                return Answer(429, {"error": {"code": "budget_held", "message": "wait"}}, {"retry-after": "0.01"})
            return Answer(200, REPLY)

        self.server.answer = answer
        self.assertEqual(iron_cage.ChatClient().complete("gpt-4", MESSAGES).text, "Grüße")

    def test_a_provider_that_wants_half_an_hour_is_not_waited_for(self) -> None:
        self.refuse(429, "rate_limited", retry_after="1800")
        with self.assertRaises(iron_cage.IronCageError):
            iron_cage.ChatClient().complete("gpt-4", MESSAGES)
        self.assertEqual(len(self.server.requests), 1)

    def test_a_reply_that_is_none_is_an_error(self) -> None:
        for body in (b"{}", b"<html>", b'{"choices": []}'):
            self.answer(200, body)
            with self.assertRaises(iron_cage.IronCageError, msg=repr(body)) as caught:
                iron_cage.ChatClient().complete("gpt-4", MESSAGES)
            self.assertEqual(caught.exception.code, "provider_reply_invalid")


class Streamed(CagedTestCase):
    def test_the_pieces_make_the_text_and_the_connection_is_used_again(self) -> None:
        usage = {"choices": [], "usage": {"prompt_tokens": 1}}
        self.answer(200, frames(piece("Grü"), piece("ße"), usage, b"[DONE]"))
        client = iron_cage.ChatClient()
        for _ in range(2):
            self.assertEqual(list(client.stream("gpt-4", MESSAGES, max_tokens=5)), ["Grü", "ße"])
        self.assertEqual(self.last.body["stream"], True)
        self.assertEqual(len({request.client for request in self.server.requests}), 1)

    def test_a_stream_that_breaks_off_is_never_a_whole_reply(self) -> None:
        self.answer(200, frames(piece("Grü")))
        pieces = iron_cage.ChatClient().stream("gpt-4", MESSAGES)
        self.assertEqual(next(pieces), "Grü")
        with self.assertRaisesRegex(iron_cage.IronCageError, "broke off"):
            next(pieces)

    def test_a_connection_that_breaks_is_never_a_whole_reply(self) -> None:
        body = frames(piece("Grü"))
        headers = {"content-length": str(len(body) + 100)}
        self.server.answer = lambda request: Answer(200, body, headers, hang_up=True)
        with self.assertRaises(iron_cage.IronCageError):
            list(iron_cage.ChatClient().stream("gpt-4", MESSAGES))

    def test_an_error_between_two_pieces_is_raised(self) -> None:
        self.answer(200, frames(piece("Grü"), {"error": {"message": "no", "code": "pii_blocked"}}))
        with self.assertRaises(iron_cage.PiiBlocked):
            list(iron_cage.ChatClient().stream("gpt-4", MESSAGES))

    def test_a_refusal_before_the_first_piece_is_raised(self) -> None:
        self.refuse(402, "budget_exceeded")
        with self.assertRaises(iron_cage.BudgetExceeded):
            list(iron_cage.ChatClient().stream("gpt-4", MESSAGES))
        self.assertEqual(len(self.server.requests), 1)

    def test_a_reader_that_stops_early_does_not_spoil_the_next_call(self) -> None:
        self.answer(200, frames(*[piece("x")] * 1000, b"[DONE]"))
        client = iron_cage.ChatClient()
        stream = client.stream("gpt-4", MESSAGES)
        next(stream)
        del stream
        self.assertEqual(len(list(client.stream("gpt-4", MESSAGES))), 1000)


if __name__ == "__main__":
    unittest.main()
