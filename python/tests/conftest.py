"""A provider, and a folder whose configuration names it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from program import PROGRAM, ROOT  # noqa: E402
from server import Answer, Server  # noqa: E402

from iron_cage.testing import openai_reply  # noqa: E402


@pytest.fixture
def provider() -> Iterator[Server]:
    """Answers every call with ten tokens, which cost a cent."""
    server = Server()
    server.answer = lambda request: Answer(200, openai_reply("Write to ada@company.example", model="penny"))
    yield server
    server.close()


@pytest.fixture
def folder(tmp_path: Path, provider: Server, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a configuration whose provider is ours."""
    (tmp_path / "iron-cage.yaml").write_text(
        f"providers: {{ openai: {{ base_url: '{provider.url}/v1', retries: 0 }} }}\n"
        "prices: { penny: { input_per_mtok: 0, output_per_mtok: 1000 } }\n"
        "log: { dir: logs }\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IRON_CAGE_BIN", str(PROGRAM))
    monkeypatch.setenv("PATH", f"{ROOT / 'node_modules' / '.bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-test")
    for name in ("IRON_CAGE_URL", "IRON_CAGE_TOKEN", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path
