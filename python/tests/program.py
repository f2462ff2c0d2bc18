"""The built program, which tests start servers with, and its surroundings: a provider, a folder with a
configuration."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from server import Answer, Server

from iron_cage.testing import openai_reply

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "bin" / "iron-cage.cjs"

#: Of a module: run in a new folder, with the program and a provider behind it.
NEEDS_PROGRAM = [
    pytest.mark.skipif(
        not (ROOT / "dist" / "iron-cage.mjs").exists(), reason="the program is not built: node scripts/build.mjs"
    ),
    pytest.mark.usefixtures("folder"),
]


@contextmanager
def open_provider() -> Iterator[Server]:
    """Answers every call with ten tokens, which cost a cent."""
    server = Server()
    server.answer = lambda request: Answer(200, openai_reply("Write to ada@company.example", model="penny"))
    yield server
    server.close()


def enter_folder(folder: Path, provider: Server, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes it the working directory, with a configuration whose provider is ours."""
    (folder / "iron-cage.yaml").write_text(
        f"providers: {{ openai: {{ base_url: '{provider.url}/v1', retries: 0 }} }}\n"
        "prices: { penny: { input_per_mtok: 0, output_per_mtok: 1000 } }\n"
        "log: { dir: logs }\n"
    )
    monkeypatch.chdir(folder)
    monkeypatch.setenv("IRON_CAGE_BIN", str(PROGRAM))
    monkeypatch.setenv("PATH", f"{ROOT / 'node_modules' / '.bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-test")
    for name in ("IRON_CAGE_URL", "IRON_CAGE_TOKEN", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return folder
