"""Checks the support of this machine by trying each wall in short-lived child processes."""

import os
import sys

from . import _groups, _kernel, _landlock, _namespaces, _privileges, _seccomp, _view
from ._kernel import WallError, mount

_FIX_NAMESPACES = (
    "allow user namespaces: on Ubuntu 24.04 or newer give this Python an AppArmor profile with `userns,` (or set"
    " kernel.apparmor_restrict_unprivileged_userns=0), elsewhere raise user.max_user_namespaces; a container needs"
    " a seccomp profile that allows unshare and mount"
)
_FIX_LANDLOCK = "use Linux 5.13 or newer, with landlock in the kernel's list of security modules (lsm=landlock,…)"
_FIX_SECCOMP = "use Linux 5.9 or newer, and a container that allows seccomp filters"
_FIX_GROUPS = (
    "for limits of an agent as a whole start it where this user may make control groups: systemd-run --user --scope"
    " -p Delegate=yes iron-cage …; a container needs a writable /sys/fs/cgroup"
)


def explain():
    """Implements ``iron_sandbox.explain``."""
    kernel = os.uname()
    if not _kernel.SUPPORTED:
        levels = dict.fromkeys(("observe", "standard", "strict"), _kernel.NOT_SUPPORTED)
        what = {
            "landlock_abi": 0,
            "levels": levels,
            "hide": _kernel.NOT_SUPPORTED,
            "groups": [],
            "fix": "run agents in a Linux VM",
            "gaps": [],
        }
        return {"kernel": kernel.release, "machine": kernel.machine, **what}
    abi = _landlock.abi()
    no_filter = _try(_install_filter)
    no_landlock = None if abi else "no Landlock in this kernel"
    no_namespaces = _try(_enter_all)
    no_mounts = _try(_enter_mounts)
    groups = _try_groups()
    no_groups = None if len(groups) == len(_groups.CONTROLLERS) else "some are missing"
    fixes = (
        (no_filter, _FIX_SECCOMP),
        (no_landlock, _FIX_LANDLOCK),
        (no_namespaces, _FIX_NAMESPACES),
        (no_groups, _FIX_GROUPS),
    )
    return {
        "kernel": kernel.release,
        "machine": kernel.machine,
        "landlock_abi": abi,
        "levels": {
            "observe": no_filter,
            "standard": no_filter or no_landlock,
            "strict": no_filter or no_landlock or no_namespaces,
        },
        "hide": no_mounts,
        "groups": groups,
        "fix": next((fix for fault, fix in fixes if fault), None),
        "gaps": _gaps(abi, no_mounts, groups),
    }


def print_explanation(as_json):
    """Writes ``explain()`` to stdout, as text or JSON. Returns the exit code."""
    what = explain()
    if as_json:
        import json

        sys.stdout.write(json.dumps(what) + "\n")
        return 0
    system = (os.uname().sysname, what["kernel"], what["machine"], what["landlock_abi"])
    lines = ["%s %s, %s, Landlock ABI %d" % system]
    lines += ["%-9s %s" % (level, fault or "yes") for level, fault in what["levels"].items()]
    lines += ["%-9s %s" % ("hide", what["hide"] or "yes"), "%-9s %s" % ("groups", ", ".join(what["groups"]) or "none")]
    lines += ["fix: " + what["fix"]] if what["fix"] else []
    lines += ["standard does not stop: " + gap for gap in what["gaps"]]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _gaps(abi, no_mounts, groups):
    gaps = ["stat of the user's own files", "the list of processes"]
    if no_mounts:
        gaps.append(
            "chmod of the user's own files, and what is hidden or kept in a folder that may be written to (mount namespaces)"
        )
    missing = [name for name in _groups.CONTROLLERS if name not in groups]
    if missing:
        gaps.append("using up the machine: %s of all processes together (control groups)" % ", ".join(missing))
    if abi < 6:
        gaps.append("signals to other processes of the user (Landlock ABI 6, Linux 6.12)")
    if abi < 3:
        gaps.append("truncating files that may only be read (Landlock ABI 3, Linux 6.2)")
    return gaps


def _try(function):
    """Returns None if ``function`` works in a child process, else the reason why not."""

    def why_not():
        try:
            function()
        except WallError as error:
            return str(error)
        except OSError as error:
            return error.strerror or str(error)
        except Exception as error:
            return str(error) or type(error).__name__
        return ""

    return _in_child(why_not) or None


def _try_groups():
    """Returns the controllers that apply to a process in a separate group."""

    def controllers():
        group = _groups.Group.open({})
        try:
            return _in_child(lambda: group.join() or ",".join(group.controllers()))
        finally:
            group.end()

    names = _in_child(controllers)
    return names.split(",") if names else []


def _in_child(function):
    """Returns the text that ``function`` returns in a child process; empty if it fails there."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, function().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as file:
        text = file.read()
    os.waitpid(child, 0)
    return text


def _install_filter():
    _privileges.forbid_new()
    os.close(_seccomp.install(_seccomp.program(True, notify=_seccomp.NOTIFIED[:1]), True))


def _enter_mounts():
    _namespaces.enter(_namespaces.MOUNTS)
    _view.isolate()


def _enter_all():
    _namespaces.enter(_namespaces.ALL)
    _namespaces.raise_loopback()
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            _view.isolate()
            mount("proc", "/proc", "proc", 0)
        except OSError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    fault = os.read(reading, 1000)
    if fault:
        raise WallError("own process ids", 1, fault.decode())
