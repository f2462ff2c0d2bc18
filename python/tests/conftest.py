"""A provider, and a folder whose configuration names it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from program import enter_folder, open_provider  # noqa: E402
from server import Server  # noqa: E402


@pytest.fixture
def provider() -> Iterator[Server]:
    with open_provider() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path, provider: Server, monkeypatch: pytest.MonkeyPatch) -> Path:
    return enter_folder(tmp_path, provider, monkeypatch)
