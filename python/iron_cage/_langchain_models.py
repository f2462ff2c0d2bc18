"""Where LangChain's models send their calls, and copies of them that call the gateway."""

from __future__ import annotations

import os
import re
from typing import Any

from ._errors import IronCageError
from ._link import Link

#: The address of a cage, whichever it is.
_GATEWAY = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\]):\d+/gateway/|http://iron-cage\.mock/")
#: By the package of a model: its provider, the fields with its address and key, the variable it reads, and the
#: provider's own address.
_PACKAGES = {
    "langchain_openai": (
        "openai",
        "openai_api_base",
        "openai_api_key",
        "OPENAI_API_BASE",
        ("https://api.openai.com", None),
    ),
    "langchain_anthropic": (
        "anthropic",
        "anthropic_api_url",
        "anthropic_api_key",
        "ANTHROPIC_API_URL",
        ("https://api.anthropic.com",),
    ),
}
#: Made from the other fields.
_CLIENTS = {"client", "async_client", "root_client", "root_async_client"}


def can_move(model: Any) -> bool:
    """Whether ``at_gateway`` gives a copy: for models of ``langchain-openai`` and ``langchain-anthropic`` that call their
    provider's own address, or a cage. Another address is the user's choice, and the gateway's provider is not there.
    """
    package = _PACKAGES.get(type(model).__module__.partition(".")[0])
    return package is not None and _is_replaceable(getattr(model, package[1], "elsewhere"), package[4])


def at_gateway(model: Any, link: Link) -> Any:
    """A copy of a model whose calls go through the cage of ``link``; the model itself where that cannot be."""
    if not can_move(model):
        return model
    provider, address, key, _, _ = _PACKAGES[type(model).__module__.partition(".")[0]]
    base_url = f"{link.gateway_url('openai')}/v1" if provider == "openai" else link.gateway_url(provider)
    if getattr(model, address) == base_url:
        return model
    own = getattr(model, key)
    fields = {name: getattr(model, name) for name in model.model_fields_set - _CLIENTS - {address, key}}
    sent = link.client_key(own.get_secret_value() if hasattr(own, "get_secret_value") else None)
    return type(model)(**fields, **{address: base_url, key: sent})


def require_caged(serialized: dict[str, Any] | None) -> None:
    """Raises IronCageError for a model that was made before the cage and calls its provider directly.

    serialized: as LangChain describes the model to callback handlers.
    """
    known = serialized or {}
    for provider, address, _, variable, own_addresses in _PACKAGES.values():
        is_of_package = known.get("id", [None])[0] == "langchain" and provider in known.get("id", [])
        if is_of_package and _GATEWAY.match(os.environ.get(variable, "")):
            used = known.get("kwargs", {}).get(address)
            if not (used and _GATEWAY.match(used)) and _is_replaceable(used, own_addresses):
                raise not_caged(known.get("name") or provider, "it was created before the cage")


def not_caged(what: str, why: str) -> IronCageError:
    return IronCageError(
        f"calls of {what} would not go through Iron Cage: {why}",
        code="not_caged",
        hint='create the model inside "with AgentRuntime(budget=...):", or start the program with "iron-cage start"',
    )


def _is_replaceable(address: str | None, own: tuple[str | None, ...]) -> bool:
    if address is None:
        return None in own
    return bool(_GATEWAY.match(address)) or address.startswith(tuple(one for one in own if one))
