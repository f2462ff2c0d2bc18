"""The name under which ``Runtime`` is known in Iron Cage's documents: ``from iron_runtime import Runtime``."""

from __future__ import annotations

from iron_cage import Runtime

__all__ = ["Runtime"]
