"""The commands. Every one that prints data takes ``--json``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from . import __version__, output, places, saved_tokens
from .agents import agent_path
from .client import Client
from .errors import CliError

_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_AGENT = click.argument("agent", required=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", prog_name="iron-cli-py", message="%(prog)s %(version)s")
def commands() -> None:
    """API tokens, budgets and usage of an Iron Cage server.

    The server is the one at IRON_CAGE_URL or IRON_API_URL, else the one that runs on the database of this folder.
    IRON_CAGE_TOKEN is the token, else what "login" has saved in ~/.iron/tokens.
    """


@commands.command()
@click.argument("username")
@click.option("--from-file", type=click.Path(path_type=Path), help="Read the password from this file.")
def login(username: str, from_file: Path | None) -> None:
    """Sign in; the password is typed, piped in, or read from a file."""
    client = Client()
    body = {"username": username, "password": _password(from_file)}
    tokens = client.send("POST", "/api/auth/login", body, signed_in=False)
    url = client.server(signed_in=False).url
    saved_tokens.save_login(places.tokens_file(), url, tokens)
    output.note(f"signed in as {tokens['name']} ({tokens['role']}), saved to {places.tokens_file()}")


@commands.group()
def token() -> None:
    """API tokens for clients that Iron Cage does not start: an IDE, a notebook, a script."""


@token.command()
@click.option("--name", default="client", show_default=True, help="Whose token it is.")
@click.option("--role", type=click.Choice(["agent", "viewer", "admin"]), default="agent", show_default=True)
@click.option("--budget", help="Hard limit in US dollars, for the role agent. [default: 100]")
@click.option("--days", type=click.FloatRange(0, 3650, min_open=True), help="Days until it expires. [default: never]")
@_AS_JSON
def generate(name: str, role: str, budget: str | None, days: float | None, as_json: bool) -> None:
    """Create a token with its own budget; its value is shown only once."""
    wanted = {"budget_usd": budget and budget.lstrip("$"), "expires_in_s": days and round(days * 86_400)}
    body = {"name": name, "role": role, **{key: value for key, value in wanted.items() if value}}
    _show_new_token(Client().send("POST", "/api/tokens", body), as_json)


@token.command("list")
@_AS_JSON
def list_tokens(as_json: bool) -> None:
    """List the tokens, without their values."""
    tokens = Client().send("GET", "/api/tokens")["tokens"]
    if as_json:
        return output.show_json(tokens)
    rows = [[one["id"], one["name"], one["role"], one["agent_id"] or "–", _validity(one)] for one in tokens]
    output.show_table(["ID", "NAME", "ROLE", "AGENT", "VALID"], rows)


@token.command()
@click.argument("id")
@click.option(
    "--overlap-hours",
    type=click.FloatRange(0, 720),
    default=24,
    show_default=True,
    help="How long the old token keeps working; 0 ends it at once.",
)
@_AS_JSON
def rotate(id: str, overlap_hours: float, as_json: bool) -> None:
    """Replace a token; the new value is shown only once."""
    body = {"overlap_s": round(overlap_hours * 3600)}
    _show_new_token(Client().send("POST", f"/api/tokens/{quote(id, safe='')}/rotate", body), as_json)


@token.command()
@click.argument("id")
def revoke(id: str) -> None:
    """End a token at once."""
    Client().send("DELETE", f"/api/tokens/{quote(id, safe='')}")
    output.note(f"token {id} has ended")


@commands.command()
@_AGENT
@_AS_JSON
def usage(agent: str | None, as_json: bool) -> None:
    """The spending of one agent, or of all, by model."""
    client = Client()
    costs = client.send("GET", f"{agent_path(client, agent)}/report" if agent else "/api/report")["costs"]
    if as_json:
        return output.show_json(costs)
    rows = [[one["name"], str(one["calls"]), output.usd(one["cost_usd"])] for one in costs["by_model"]]
    output.show_table(["MODEL", "CALLS", "COST $"], [*rows, ["total", "", output.usd(costs["spent_usd"])]])


@commands.group()
def budget() -> None:
    """Show or change budgets."""


@budget.command()
@_AGENT
@_AS_JSON
def get(agent: str | None, as_json: bool) -> None:
    """The limit and spending of an agent, or the limits of the server and of each run."""
    client = Client()
    if agent is None:
        return _show_configured(client.send("GET", "/api/budgets"), as_json)
    _show_balance(client.send("GET", f"{agent_path(client, agent)}/status"), as_json)


@budget.command("set")
@click.argument("agent")
@click.argument("usd")
@_AS_JSON
def set_limit(agent: str, usd: str, as_json: bool) -> None:
    """Set a new limit, in US dollars."""
    _change_limit(agent, {"limit_usd": usd.lstrip("$")}, as_json)


@budget.command()
@click.argument("agent")
@click.argument("usd")
@_AS_JSON
def add(agent: str, usd: str, as_json: bool) -> None:
    """Raise a limit, by US dollars."""
    _change_limit(agent, {"add_usd": usd.lstrip("$")}, as_json)


@commands.command()
@_AS_JSON
def health(as_json: bool) -> None:
    """Whether the server works, and its version."""
    client = Client()
    answers = [client.send("GET", path, signed_in=False) for path in ("/api/health", "/api/version")]
    found = {"url": client.server(signed_in=False).url, **answers[0], **answers[1]}
    if as_json:
        return output.show_json(found)
    output.show_table(["", ""], [[name, str(value)] for name, value in found.items()])


@commands.command()
@_AS_JSON
def agents(as_json: bool) -> None:
    """List the agents."""
    found = Client().send("GET", "/api/agents")["agents"]
    if as_json:
        return output.show_json(found)
    rows = [
        [one["id"], one["name"], one["state"], output.usd(one["spent_usd"]), output.usd(one["limit_usd"])]
        for one in found
    ]
    output.show_table(["ID", "NAME", "STATE", "SPENT $", "LIMIT $"], rows)


def run() -> None:
    """The command ``iron-cli-py``: exits with the code of the error in docs/errors.md."""
    try:
        commands(prog_name="iron-cli-py")
    except CliError as error:
        output.note(str(error))
        sys.exit(error.exit_code)


def _password(file: Path | None) -> str:
    if file is not None:
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise CliError("usage", f"cannot read {file}: {error.strerror}", status=400) from None
    elif sys.stdin.isatty():
        text = str(click.prompt("Password", hide_input=True, err=True))
    else:
        text = sys.stdin.read()
    password = text[: -2 if text.endswith("\r\n") else -1] if text.endswith("\n") else text
    if not password:
        raise CliError("usage", "the password is empty", "type it, or pipe it in", 400)
    return password


def _show_new_token(created: dict[str, Any], as_json: bool) -> None:
    file = places.tokens_file()
    saved_tokens.save_token(file, created)
    if as_json:
        return output.show_json(created)
    click.echo(created["token"])
    output.note(f"saved to {file}; its role is {created['role']}")


def _validity(found: dict[str, Any]) -> str:
    if found["revoked_at"]:
        return f"revoked {found['revoked_at']}"
    return f"until {found['expires_at']}" if found["expires_at"] else "never expires"


def _change_limit(agent: str, change: dict[str, str], as_json: bool) -> None:
    client = Client()
    _show_balance(client.send("PATCH", f"{agent_path(client, agent)}/budget", change), as_json)


def _show_balance(status: dict[str, Any], as_json: bool) -> None:
    """An agent's own budget, then every budget that its calls must fit into."""
    amounts = ("limit_usd", "spent_usd", "held_usd", "remaining_usd")
    if as_json:
        own = {name: status["budget"][name] for name in amounts}
        return output.show_json({"agent_id": status["agent"]["id"], **own, "budgets": status["budgets"]})
    rows = [[one["scope"], *[output.usd(one[name]) for name in amounts]] for one in status["budgets"]]
    output.show_table(["BUDGET", "LIMIT $", "SPENT $", "HELD $", "LEFT $"], rows)


def _show_configured(budgets: dict[str, Any], as_json: bool) -> None:
    if as_json:
        return output.show_json(budgets)
    rows = [[name, output.usd(one["limit_usd"])] for name, one in budgets.items() if one]
    output.show_table(["BUDGET", "LIMIT $"], rows)
