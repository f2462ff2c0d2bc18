"""How results look: tables for people, JSON for programs; messages go to standard error."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text


def show_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Numbers of dollars to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column.endswith("$") else "left", overflow="fold")
    for row in rows:
        table.add_row(*[Text(cell) for cell in row])
    Console(highlight=False, soft_wrap=True).print(table)


def note(message: str) -> None:
    click.echo(message, err=True)


def usd(amount: str) -> str:
    """``"5.2"`` → ``"$5.20"``; further digits stay."""
    value = Decimal(amount)
    return f"${value:,.2f}" if value == round(value, 2) else f"${value.normalize():,f}"
