"""The program, ``iron-cage``: where it is on this machine, and the commands that run it."""

from __future__ import annotations

import os
import shutil
import sys

from ._errors import ServerUnreachable

#: The script in wheels that carry no program. It leads here, so it is no program itself.
_SCRIPT = b"iron_cage._program"


def find_program() -> list[str]:
    """The words that call ``iron-cage``: ``IRON_CAGE_BIN``, else the one beside this Python, else the one on PATH.

    Raises ServerUnreachable when there is none.
    """
    named = os.environ.get("IRON_CAGE_BIN")
    if named:
        is_script = named.endswith((".mjs", ".js", ".cjs"))
        return [shutil.which("node") or "node", named] if is_script else [named]
    folders = [os.path.dirname(sys.executable), *os.environ.get("PATH", os.defpath).split(os.pathsep)]
    for folder in folders:
        found = shutil.which("iron-cage", path=folder) if folder else None
        if found and not _leads_here(found):
            return [found]
    raise ServerUnreachable(
        "the program iron-cage is not on this machine: this package came without it, and PATH has none",
        code="server_unreachable",
        hint='install it with "npm install -g iron-cage" or the wheel for your platform, set IRON_CAGE_BIN to its file, '
        "or IRON_CAGE_URL and IRON_CAGE_TOKEN to a server that runs",
    )


def main() -> None:
    """The command ``iron_cage``, and ``iron-cage`` where the wheel carries no program: becomes the program."""
    try:
        command = [*find_program(), *sys.argv[1:]]
    except ServerUnreachable as error:
        sys.exit(f"✖ {error}")
    if sys.platform != "win32":
        os.execvp(command[0], command)
    import subprocess

    sys.exit(subprocess.call(command))


def _leads_here(path: str) -> bool:
    with open(path, "rb") as file:
        return _SCRIPT in file.read(512)
