"""The fixtures of ``iron_cage.testing``."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from ._mock import MockRuntime
from ._mock_llm import MockLLM


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "iron_cage(budget=100, pii_detection=True, listen=False): how the fixture iron_cage is made, as MockRuntime is",
    )


@pytest.fixture
def iron_cage_budget(request: pytest.FixtureRequest) -> Decimal:
    """The limit of the fixture ``iron_cage``, in US dollars: the value of the test's mark, else 100."""
    return Decimal(str(_marked(request).get("budget", 100)))


@pytest.fixture
def iron_cage(request: pytest.FixtureRequest, iron_cage_budget: Decimal) -> Iterator[MockRuntime]:
    """A ``MockRuntime`` that the test runs inside of. ``@pytest.mark.iron_cage(...)`` sets its options."""
    options = {name: value for name, value in _marked(request).items() if name != "budget"}
    with MockRuntime(iron_cage_budget, **options) as runtime:
        yield runtime


@pytest.fixture
def iron_cage_llm(iron_cage: MockRuntime) -> MockLLM:
    """The model of the fixture ``iron_cage``."""
    return iron_cage.llm


def _marked(request: pytest.FixtureRequest) -> dict[str, Any]:
    mark = request.node.get_closest_marker("iron_cage")
    return {} if mark is None else dict(mark.kwargs)
