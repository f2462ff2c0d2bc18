"""A machine in small for the probes: a gateway, other servers, a secret in a home, a server to be attacked.

``python stage.py`` prints the table of docs/sandbox.md; ``--write`` puts it there.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PYTHON = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PYTHON))

PROBES = Path(__file__).with_name("probes.py")
DOCUMENT = PYTHON.parent / "docs" / "sandbox.md"
#: As the columns of the table.
LEVELS = ("off", "observe", "standard", "standard, connect", "standard, no namespaces", "strict")
#: As the server starts it: with no modules from the folder that it works in.
LAUNCH = [
    "-I",
    "-S",
    "-c",
    "import sys; sys.path.insert(0, %r); from iron_sandbox._main import command; command()" % str(PYTHON),
]
#: The files that the probes leave for other programs, and whom each harms.
LEFT = {
    "iron-cage.yaml": "the next start",
    ".vscode/tasks.json": "an editor",
    ".git/commondir": "git",
    ".npmrc": "a package manager",
    ".bashrc": "a shell",
    ".newtool/hooks.json": "a program that no list names",
    "data/.envrc": "a shell in another folder",
}
#: A user without processes or files here.
NOT_MINE = 4711
SETTINGS = "/proc/sys/user"
#: Runs a command where no namespaces can be had, without privileges.
NO_NAMESPACES = """
import ctypes, os, sys
user, group = os.getuid(), os.getgid()
if ctypes.CDLL(None).unshare(0x10000000): raise OSError("user namespaces are needed to take them away")
for name, text in (("setgroups", "deny"), ("uid_map", "65534 %d 1" % user), ("gid_map", "65534 %d 1" % group)):
    open("/proc/self/" + name, "w").write(text)
open("/proc/sys/user/max_user_namespaces", "w").write("0")
os.execv(sys.argv[1], sys.argv[1:])
"""
BEGIN, END = "<!-- probes: python python/tests/sandbox/stage.py --write -->", "<!-- end of probes -->"


def serve(family: int, address: Any, kind: int = socket.SOCK_STREAM, backlog: int = 1000) -> socket.socket:
    own = socket.socket(family, kind)
    own.bind(address)
    if kind == socket.SOCK_STREAM:
        own.listen(backlog)
    return own


@contextlib.contextmanager
def stage(user: int | None) -> Iterator[dict[str, Any]]:
    """Opens everything and yields the values that the probes need."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        folder.chmod(0o755)
        mark = "iron-sandbox-probe-%s" % os.urandom(4).hex()
        home, work = folder / "home", folder / "home" / "work"
        work.mkdir(parents=True)
        for name, text in {"secret": "hush", "deletable": "", ".bashrc": ""}.items():
            (home / name).write_text(text)
        (work / "state.db").write_text("ledger")
        (work / "data").mkdir()
        (work / "data" / "keys").write_text("key")
        (home / "kept").mkdir()
        (home / "kept" / "keys").write_text("key")
        (work / "link").symlink_to(home / "kept")
        (work / ".git" / "hooks").mkdir(parents=True)
        (work / ".git" / "hooks" / "pre-commit").write_text("")
        (work / ".git" / "config").write_text("")
        shared = Path("/dev/shm") / mark
        shared.write_text("theirs")
        stack.callback(shared.unlink)
        ours = {
            "gateway": serve(socket.AF_INET, ("127.0.0.1", 0)),
            "other": serve(socket.AF_INET, ("127.0.0.1", 0)),
            "elsewhere": serve(socket.AF_INET, ("127.0.0.2", 0)),
            "udp": serve(socket.AF_INET, ("127.0.0.1", 0), socket.SOCK_DGRAM),
        }
        with contextlib.suppress(OSError):
            ours["other6"] = serve(socket.AF_INET6, ("::1", 0))
        ports = {name: own.getsockname()[1] for name, own in ours.items()}
        ours["elsewhere, gateway's port"] = serve(socket.AF_INET, ("127.0.0.2", ports["gateway"]))
        # The server does not accept: a further connection is not answered.
        ours["full"] = serve(socket.AF_INET, ("127.0.0.1", 0), backlog=0)
        ports["full"] = ours["full"].getsockname()[1]
        ours["in the queue"] = socket.create_connection(("127.0.0.1", ports["full"]))
        ours["unix"] = serve(socket.AF_UNIX, str(folder / "socket"))
        ours["abstract"] = serve(socket.AF_UNIX, "\0" + mark)
        ours["datagrams"] = serve(socket.AF_UNIX, str(folder / "datagrams"), socket.SOCK_DGRAM)
        ours["abstract datagrams"] = serve(socket.AF_UNIX, "\0%s-datagrams" % mark, socket.SOCK_DGRAM)
        os.chmod(folder / "datagrams", 0o777)
        for own in ours.values():
            stack.callback(own.close)
        echo(ours["udp"])
        for name in ("datagrams", "abstract datagrams"):
            threading.Thread(target=swallow, args=(ours[name],), daemon=True).start()
        libc = ctypes.CDLL(None)
        key = 0x1C000000 | int.from_bytes(os.urandom(3), "big")
        segment = libc.shmget(key, 4096, 0o1600)
        stack.callback(libc.shmctl, segment, 0, None)
        make_queue, remove_queue = (240, 241) if os.uname().machine == "x86_64" else (180, 181)
        os.close(libc.syscall(make_queue, mark.encode(), os.O_CREAT | os.O_RDWR, 0o666, None))
        stack.callback(libc.syscall, remove_queue, mark.encode())
        with open(home / "secret") as held:
            # Not known to /proc by another name than its own.
            server = stack.enter_context(
                subprocess.Popen(["sleep", "600"], env={"MASTER": "key"}, pass_fds=[held.fileno()], user=user)
            )
            stack.callback(server.kill)
            facts = {"server_fd": held.fileno(), "database": str(work / "state.db"), "abstract": mark, "shared": key}
            facts.update(work=str(work), secret=str(home / "secret"), server=server.pid, unix=str(folder / "socket"))
            facts.update(datagrams=str(folder / "datagrams"), launcher=str(PYTHON / "iron_sandbox" / "_main.py"))
            facts.update(nested=str(work / "data" / "keys"), linked=str(work / "link" / "keys"), left=list(LEFT))
            facts.update(ports, mark=mark, mark_seconds="600.%d" % server.pid)
            threading.Thread(target=reach, args=(work / "reach-me",), daemon=True).start()
            yield facts


def program_of(user: int, folder: str) -> str:
    """Makes a program that runs as ``user`` for everyone (setuid), and prints its user. Returns its path."""
    path = shutil.copy(str(shutil.which("id")), folder + "/whoami")
    os.chown(path, user, user)
    os.chmod(path, 0o4755)
    return path


def echo(own: socket.socket) -> None:
    def answer() -> None:
        with contextlib.suppress(OSError):
            while True:
                _, who = own.recvfrom(100)
                own.sendto(b"y", who)

    threading.Thread(target=answer, daemon=True).start()


def swallow(own: socket.socket) -> None:
    """Reads until the socket is closed: a queue of datagrams holds few."""
    with contextlib.suppress(OSError):
        while own.fileno() >= 0:
            own.recv(100)


def reach(path: Path) -> None:
    """Connects to the ports that the probes write here."""
    while path.parent.exists():
        with contextlib.suppress(OSError, ValueError):
            port = int(path.read_text())
            path.unlink()
            time.sleep(0.1)
            socket.create_connection(("127.0.0.1", port), 1).close()
        time.sleep(0.02)


def try_level(level: str, user: int | None = None) -> list[list[Any]]:
    """[title, harms, open | blocked, how] of each probe. ``user``: as another user than this one."""
    with stage(user) as facts:
        facts.update(strict=level == "strict", sees_server=level != "strict")
        gateway = "127.0.0.1:%d" % facts["gateway"]
        home = os.path.dirname(facts["secret"])
        python = "/usr/bin/python3" if user is not None else sys.executable
        if user is not None:
            for path in [home, *Path(home).rglob("*")]:
                os.chown(path, user, user)
        probes = shutil.copy(PROBES, facts["work"])
        if os.geteuid() == 0:
            facts["setuid"] = program_of(NOT_MINE, facts["work"])
        command = [python, probes, json.dumps(facts)]
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": home}
        if level != "off":
            words = ["--level", level.partition(",")[0], "--write", facts["work"]]
            if level in ("standard, connect", "strict"):
                words += ["--connect", gateway, "--connect", "127.0.0.1:%d" % facts["full"]]
            if level != "observe":
                hidden = (facts["database"], facts["nested"], facts["linked"], facts["work"] + "/iron-cage.yaml")
                words += [word for path in hidden for word in ("--hide", path)]
            command = [python, *LAUNCH, *words, "--", *command]
            if level == "standard, no namespaces":
                command = [python, "-c", NO_NAMESPACES, *command]
        done = subprocess.run(
            command,
            env=environment,
            cwd=facts["work"],
            user=user,
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            close_fds=True,
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        # Nothing listens there on a machine without IPv6.
        results = [result for result in json.loads(done.stdout) if "other6" in facts or result[0] != "connect by IPv6"]
        left = running(facts["mark_seconds"])
        for pid in left:
            os.kill(pid, 9)
        for name, whom in LEFT.items():
            is_there = os.path.lexists(os.path.join(facts["work"], name))
            results.append(
                ["leave %s for %s" % (name, whom), True, *(("open", "") if is_there else ("blocked", "moved aside"))]
            )
        lives = ("open", "") if left else ("blocked", "killed")
        return results + [["a program that ran from the cage lives on after it", True, *lives]]


def running(mark: str) -> list[int]:
    """The processes with ``mark`` in their command line."""
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and mark.encode() in Path("/proc", name, "cmdline").read_bytes():
                found.append(int(name))
    return found


def table() -> str:
    columns = {level: try_level(level) for level in LEVELS}
    rows = ["| tried from inside | %s |" % " | ".join(LEVELS), "|---|%s" % ("---|" * len(LEVELS))]
    for index, (title, harms, _, _) in enumerate(columns["off"]):
        cells = []
        for level in LEVELS:
            _, _, what, how = columns[level][index]
            cells.append(("**open**" if harms else "open") if what == "open" else "– %s" % how)
        rows.append("| %s | %s |" % (title, " | ".join(cells)))
    return "\n".join(rows)


if __name__ == "__main__":
    written = table()
    if "--write" in sys.argv:
        before, _, rest = DOCUMENT.read_text().partition(BEGIN)
        DOCUMENT.write_text("%s%s\n\n%s\n\n%s%s" % (before, BEGIN, written, END, rest.partition(END)[2]))
    else:
        print(written)
