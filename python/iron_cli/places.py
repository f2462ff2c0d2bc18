"""Where the server is, and where its answers are kept: the same places as those of ``iron-cage``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml  # type: ignore[import-untyped]

from .errors import CliError, NotConnected

_CONFIG_FILES = ("iron-cage.yaml", "iron-cage.yml")
_ADDRESSES = ("IRON_CAGE_URL", "IRON_API_URL")


@dataclass(frozen=True)
class Server:
    """url: without a slash at its end. token: None until a user has signed in."""

    url: str
    token: str | None


def named_address(environ: Mapping[str, str] = os.environ) -> str | None:
    """The value of IRON_CAGE_URL, else of IRON_API_URL. Raises CliError ``invalid_config``."""
    for name in _ADDRESSES:
        address = environ.get(name)
        if not address:
            continue
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise CliError(
                "invalid_config",
                f'{name}: expected an http or https address, got "{address}"',
                "write it as http://127.0.0.1:8080",
            )
        return address.rstrip("/")
    return None


def local_server(database: Path) -> Server:
    """The server that uses a database of this machine. Raises NotConnected."""
    try:
        file = json.loads(Path(f"{database}.server").read_text())
        if not file["url"] or not Path(f"/proc/{file['pid']}").exists() and Path("/proc/self").exists():
            raise NotConnected(f"no server runs on {database}")
        return Server(str(file["url"]), str(file["token"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise NotConnected(f"no server runs on {database}") from None


def database(environ: Mapping[str, str] = os.environ) -> Path:
    """IRON_CAGE_DB, else ``db.path`` of the configuration of this folder, else ./iron_state.db."""
    return Path(environ.get("IRON_CAGE_DB") or _configured().get("path") or "iron_state.db")


def tokens_file(environ: Mapping[str, str] = os.environ) -> Path:
    """``~/.iron/tokens``; its folder is made, readable by this user only."""
    folder = Path(environ.get("HOME", ".")) / ".iron"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / "tokens"


def _configured() -> Mapping[str, Any]:
    named = os.environ.get("IRON_CAGE_CONFIG")
    for path in [named] if named else _CONFIG_FILES:
        try:
            content = yaml.safe_load(Path(path).read_text())
        except (OSError, yaml.YAMLError):
            continue
        section = content.get("db") if isinstance(content, dict) else None
        return section if isinstance(section, dict) else {}
    return {}
