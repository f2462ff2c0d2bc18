"""The errors and their exit codes."""

from __future__ import annotations

from .exit_codes import EXIT_CODES

#: For an error code that only a newer server has: by HTTP status.
_EXIT_BY_STATUS = {401: 4, 403: 4, 404: 5, 409: 6}


class CliError(Exception):
    """code: as the server names it. hint: the next thing to type. status: the HTTP status, when a server answered."""

    def __init__(self, code: str, message: str, hint: str | None = None, status: int = 500) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint
        self.exit_code = EXIT_CODES.get(code, _EXIT_BY_STATUS.get(status, 2 if status < 500 else 1))

    def __str__(self) -> str:
        return f"iron-cli-py: {self.args[0]}" + (f"\n  hint: {self.hint}" if self.hint else "")


class NotConnected(Exception):
    """Nothing was sent, so the request may be tried again."""
