"""``~/.iron/tokens`` (0600): one JSON object per line, API tokens and one login for each server.

The file is that of ``iron-cage``: each command reads and renews tokens of the other.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from .errors import CliError

#: How long before its end a login is renewed, in seconds.
_RENEW_BEFORE_S = 60
#: A lock that is older was left by a killed command, in seconds.
_MAX_LOCK_AGE_S = 40

Tokens = dict[str, Any]


def save_token(file: Path, created: Tokens) -> None:
    """Appends an API token as the server answered it."""
    line = json.dumps({name: created[name] for name in ("id", "name", "token")}, separators=(",", ":"))
    with open(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8") as out:
        out.write(line + "\n")
    file.chmod(0o600)


def save_login(file: Path, url: str, tokens: Tokens) -> None:
    """Replaces an earlier login at the same server."""
    ends_at = datetime.now(timezone.utc) + timedelta(seconds=tokens["expires_in"])
    login = {
        "url": url,
        **{name: tokens[name] for name in ("name", "role", "access_token", "refresh_token")},
        "ends_at": ends_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    _replace_login(file, url, login)


def access_token(file: Path, url: str, renew: Callable[[str], Tokens]) -> str | None:
    """The access token of the login at this server; None without one.

    ``renew`` exchanges the refresh token when the access token is about to end. A refresh token works once, so commands
    that run at the same time renew one after the other. Raises CliError ``unauthorized`` when the login has ended.
    """
    login = _login(file, url)
    if login is None or _lasts(login):
        return None if login is None else str(login["access_token"])
    with _locked(Path(f"{file}.lock")):
        login = _login(file, url)
        if login is None or _lasts(login):
            return None if login is None else str(login["access_token"])
        try:
            tokens = renew(login["refresh_token"])
        except CliError as error:
            if error.code != "unauthorized":
                raise
            _replace_login(file, url, None)
            raise CliError(
                "unauthorized",
                f"the login of {login['name']} at {url} has ended",
                'sign in again with "iron-cli-py login"',
            ) from None
        save_login(file, url, tokens)
        return str(tokens["access_token"])


def _lasts(login: Tokens) -> bool:
    ends_at = datetime.fromisoformat(login["ends_at"].replace("Z", "+00:00"))
    return ends_at - timedelta(seconds=_RENEW_BEFORE_S) > datetime.now(timezone.utc)


def _login(file: Path, url: str) -> Tokens | None:
    return next((line for line in _lines(file) if "refresh_token" in line and line.get("url") == url), None)


def _replace_login(file: Path, url: str, login: Tokens | None) -> None:
    others = [line for line in _lines(file) if not ("refresh_token" in line and line.get("url") == url)]
    draft = Path(f"{file}.{os.getpid()}")
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in [*others, *([login] if login else [])])
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
    draft.replace(file)


def _lines(file: Path) -> list[Tokens]:
    lines: list[Tokens] = []
    if file.exists():
        for text in file.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):
                lines.append(json.loads(text))
    return lines


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    while True:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            break
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _MAX_LOCK_AGE_S:
                    path.unlink(missing_ok=True)
            time.sleep(0.05)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
