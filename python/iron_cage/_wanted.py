"""The settings of a server that is started."""

from __future__ import annotations

import os


class ServerConfig:
    """The configuration of a server that is started: a file's path, or the content of one."""

    __slots__ = ("content", "path")

    def __init__(self, path: str | None = None, content: str | None = None) -> None:
        self.path = path
        self.content = content

    @property
    def key(self) -> tuple[str | None, str | None]:
        """Equal for those that mean the same."""
        return self.path, self.content


class WantedServer:
    """A server that a runtime starts, or shares with those that want the same.

    db: its database file; None for a temporary one.
    safety_mode: None for the configured one.
    config: None for the file in the working directory, if there is any.
    start_timeout_s: how long it may take to start, in seconds.
    budget_usd: hard limit of all its agents together; None for the configured one.
    """

    __slots__ = ("budget_usd", "config", "db", "safety_mode", "start_timeout_s")

    def __init__(
        self,
        db: str | None,
        safety_mode: str | None,
        config: ServerConfig | None,
        start_timeout_s: float,
        budget_usd: str | None = None,
    ) -> None:
        self.db = db
        self.safety_mode = safety_mode
        self.config = config
        self.start_timeout_s = start_timeout_s
        self.budget_usd = budget_usd

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for those that one server can be. Without a configuration, that of the working directory is used."""
        return self.db, self.safety_mode, self.config.key if self.config is not None else os.getcwd()
