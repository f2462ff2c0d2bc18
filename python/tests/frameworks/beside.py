"""Tests here need a framework; the server that answers them is the one of the other tests."""

import os
import sys
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from server import Answer, CagedTestCase  # noqa: E402

__all__ = ["Answer", "CagedTestCase", "EventsTestCase"]


class EventsTestCase(CagedTestCase):
    """In a cage whose event log can be read."""

    def setUp(self) -> None:
        super().setUp()
        # As an agent has it: the SDKs of providers mind the proxies.
        patch = mock.patch.dict(os.environ, {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"})
        patch.start()
        self.addCleanup(patch.stop)

    def events(self) -> list:
        """The reports: (message, level, data)."""
        reports = [request.body for request in self.server.requests if request.path.endswith("/api/run/events")]
        return [(one["message"], one["level"], one["data"]) for one in reports]

    def messages(self) -> list:
        return [message for message, level, _ in self.events() if level != "DEBUG"]
