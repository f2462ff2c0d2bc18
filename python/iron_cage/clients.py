"""Clients of the ``openai`` and ``anthropic`` packages whose calls go through the cage.

An agent that ``iron-cage start`` runs does not need them: those packages read ``OPENAI_BASE_URL`` and
``ANTHROPIC_BASE_URL``. They are for code inside of an ``AgentRuntime`` in a program with several, and for programs with
``IRON_CAGE_URL`` and an API token in ``IRON_CAGE_TOKEN`` (``iron-cage tokens create``). The packages are imported at the
first use of theirs.
"""

from __future__ import annotations

from ._current import current_link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from anthropic import Anthropic, AsyncAnthropic
    from openai import AsyncOpenAI, OpenAI

__all__ = ["anthropic_client", "async_anthropic_client", "async_openai_client", "openai_client"]


def openai_client(**options: Any) -> OpenAI:
    """Returns ``openai.OpenAI`` at the cage's address. ``options`` are those of its class, and win.

    Raises ServerUnreachable when there is no cage: a client that quietly went to the provider would cost unseen.
    """
    from openai import OpenAI

    return OpenAI(**{**current_link().client_options("openai"), **options})


def async_openai_client(**options: Any) -> AsyncOpenAI:
    """Returns ``openai.AsyncOpenAI`` at the cage's address; otherwise as ``openai_client``."""
    from openai import AsyncOpenAI

    return AsyncOpenAI(**{**current_link().client_options("openai"), **options})


def anthropic_client(**options: Any) -> Anthropic:
    """Returns ``anthropic.Anthropic`` at the cage's address; otherwise as ``openai_client``."""
    from anthropic import Anthropic

    return Anthropic(**{**current_link().client_options("anthropic"), **options})


def async_anthropic_client(**options: Any) -> AsyncAnthropic:
    """Returns ``anthropic.AsyncAnthropic`` at the cage's address; otherwise as ``openai_client``."""
    from anthropic import AsyncAnthropic

    return AsyncAnthropic(**{**current_link().client_options("anthropic"), **options})
