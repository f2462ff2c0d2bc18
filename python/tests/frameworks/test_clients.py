from __future__ import annotations

import os
import unittest
from unittest import mock

from beside import CagedTestCase

import iron_cage
from iron_cage.clients import anthropic_client, async_anthropic_client, async_openai_client, openai_client

FACTORIES = (openai_client, async_openai_client, anthropic_client, async_anthropic_client)


class Clients(CagedTestCase):
    def with_token(self, token: str) -> None:
        patch = mock.patch.dict(
            os.environ, {"IRON_CAGE_TOKEN": token, "OPENAI_API_KEY": "sk-own", "ANTHROPIC_API_KEY": "sk-own"}
        )
        patch.start()
        self.addCleanup(patch.stop)

    def test_with_a_run_token_the_address_tells_who_calls_and_the_key_is_the_providers(self) -> None:
        self.with_token("run_abc")
        for make in FACTORIES:
            client = make()
            self.assertTrue(str(client.base_url).startswith(f"{self.server.url}/gateway/run_abc/"), client.base_url)
            self.assertEqual(client.api_key, "sk-own")
        self.assertEqual(str(openai_client().base_url), f"{self.server.url}/gateway/run_abc/openai/v1/")
        self.assertEqual(str(anthropic_client().base_url).rstrip("/"), f"{self.server.url}/gateway/run_abc/anthropic")

    def test_with_an_api_token_the_key_tells_who_calls(self) -> None:
        self.with_token("ic_abc")
        for make in FACTORIES:
            client = make()
            self.assertTrue(str(client.base_url).startswith(f"{self.server.url}/gateway/"), client.base_url)
            self.assertNotIn("ic_abc", str(client.base_url))
            self.assertEqual(client.api_key, "ic_abc")

    def test_options_are_the_clients_own(self) -> None:
        self.with_token("run_abc")
        self.assertEqual(openai_client(max_retries=7).max_retries, 7)

    def test_without_a_cage_there_is_no_client(self) -> None:
        with mock.patch.dict(os.environ):
            del os.environ["IRON_CAGE_URL"]
            for make in FACTORIES:
                with self.assertRaises(iron_cage.ServerUnreachable):
                    make()


if __name__ == "__main__":
    unittest.main()
