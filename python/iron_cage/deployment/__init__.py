"""Deploying a caged agent with a strategy: see :mod:`iron_cage.deployment.strategies`."""

from __future__ import annotations
