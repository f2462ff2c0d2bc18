"""A process's view of the machine's files: all but a few paths (``mask``), or only the listed paths (``build``).

Needs a mount namespace. In a built view, unlisted paths do not exist: they cannot be read, found or changed.
"""

import errno
import os

from ._files import read
from ._kernel import (
    NR_MOUNT_SETATTR,
    NR_MOVE_MOUNT,
    NR_OPEN_TREE,
    NR_PIVOT_ROOT,
    WallError,
    buffer,
    mount,
    syscall,
    unmount,
)

_NOSUID, _NODEV, _NOEXEC, _BIND, _REC, _PRIVATE = 2, 4, 8, 0x1000, 0x4000, 0x40000
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 1, 2, 4
_AT_FDCWD, _AT_RECURSIVE, _AT_NO_FOLLOW, _MNT_DETACH = -100, 0x8000, 0x100, 2
_OPEN_TREE_CLONE, _MOVE_FROM_DESCRIPTOR = 1, 4
_MAX_LINKS = 40
_OLD = "/.machine"
# Where the new root is assembled; any folder works.
_BASE = "/tmp"
_NODES = ("null", "zero", "full", "random", "urandom", "tty")


def isolate():
    """Keeps later mounts private to this mount namespace."""
    mount(None, "/", None, _REC | _PRIVATE)


def narrow(write):
    """Makes everything read-only except the folders ``write``, and mounts a private /dev/shm. Needs ``isolate``."""
    # Left out: device files remain writable on a read-only mount.
    folders = [path for path in map(os.path.realpath, write) if os.path.isdir(path) and not path.startswith("/dev/")]
    for path in sorted(set(folders)):
        mount(path, path, None, _BIND | _REC)
    for place in _mounts():
        if not any((place + "/").startswith(path + "/") for path in folders):
            try:
                _restrict(place, _ATTR_RDONLY, recursive=False)
            except WallError as error:
                # Covered by another mount, or not accessible to this user.
                if error.errno not in (errno.ENOENT, errno.EACCES, errno.EINVAL):
                    raise
    if os.path.isdir("/dev/shm"):
        mount("cage", "/dev/shm", "tmpfs", _NOSUID | _NODEV, "size=64m,mode=1777")
    _reenter()


def _reenter():
    """Moves the working folder into the new mounts; until then it is the folder that they cover."""
    os.chdir(os.getcwd())


def _mounts():
    with open("/proc/self/mountinfo", "rb") as file:
        return {os.fsdecode(line.split()[4].decode("unicode_escape").encode("latin-1")) for line in file}


def mask(hide, keep, write):
    """Makes files in ``hide`` unreadable, folders in ``hide`` empty, and ``keep`` read-only, even where their parents are
    accessible. Skips missing paths. Needs ``isolate``.

    ``write``: folders in which the program may rename and remove.
    """
    keep = [path for path in keep if os.path.exists(path)]
    _pin(hide + keep, write)
    for path in keep:
        mount(path, path, None, _BIND | _REC)
        _restrict(path, _ATTR_RDONLY)
    for path in hide:
        if os.path.isdir(path):
            mount("none", path, "tmpfs", _NOSUID | _NODEV | _NOEXEC, "size=4k,mode=000")
            _restrict(path, _ATTR_RDONLY)
        elif os.path.exists(path):
            # A device on a ``nodev`` mount cannot be opened.
            mount("/dev/null", path, None, _BIND)
            _restrict(path, _ATTR_RDONLY | _ATTR_NODEV)


def extend(path, text):
    """Shows a copy of a file with more text, which cannot be written to. Skips a missing one. Needs a private /dev/shm."""
    place = os.path.realpath(path)
    content = read(place)
    if content is None or not os.path.isdir("/dev/shm"):
        return
    copy = "/dev/shm/" + os.path.basename(path)
    with open(copy, "w") as file:
        file.write("%s\n%s\n" % (content, text))
    os.chmod(copy, 0o444)
    mount(copy, place, None, _BIND)
    _restrict(place, _ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV)
    os.unlink(copy)


def _pin(paths, write):
    """Mounts the folders and links on the way to these paths on themselves, so that they cannot be moved or removed.

    Otherwise a program could replace such a folder, and its hidden content would not be hidden from later programs.
    """
    write = [os.path.realpath(path).rstrip("/") + "/" for path in write]
    folders, links = set(), set()
    for path in paths:
        for place in _way(path):
            if any(place.startswith(folder) for folder in write):
                (links if os.path.islink(place) else folders).add(place)
    for folder in sorted(folders):
        mount(folder, folder, None, _BIND | _REC)
    for link in sorted(links):
        _pin_link(link)
    if folders:
        _reenter()


def _way(path):
    """Yields the folders and links on the way to a path, by their real names; also the path itself if it is a link."""
    at, parts, links = "", [part for part in path.split("/") if part], 0
    while parts:
        part = parts.pop(0)
        if part == "..":
            at = os.path.dirname(at)
            continue
        here = "%s/%s" % (at, part)
        try:
            target = os.readlink(here)
        except OSError:
            at = here
            if parts and os.path.isdir(here):
                yield here
            continue
        links += 1
        if links > _MAX_LINKS:
            return
        yield here
        parts = [word for word in target.split("/") if word not in ("", ".")] + parts
        at = "" if target.startswith("/") else at


def _pin_link(path):
    """Mounts a link on itself, which ``mount`` cannot do, as it follows links."""
    name = buffer(os.fsencode(path) + b"\0")
    wall = "link %s" % path
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_NO_FOLLOW
    tree = syscall(wall, NR_OPEN_TREE, _AT_FDCWD, name, flags)
    try:
        syscall(wall, NR_MOVE_MOUNT, tree, buffer(b"\0"), _AT_FDCWD, name, _MOVE_FROM_DESCRIPTOR)
    finally:
        os.close(tree)


def build(read, write, temporary, size_mb):
    """Makes a root of these paths only, each at its usual place. Needs ``isolate`` and a process id namespace.

    ``temporary``: the folder for temporary files, initially empty and in memory, at most ``size_mb``.
    """
    working = os.getcwd()
    read, write = ([path for path in paths if os.path.lexists(path)] for paths in (read, write))
    mount("cage", _BASE, "tmpfs", _NOSUID | _NODEV, "size=4m,mode=755")
    os.mkdir(_BASE + _OLD)
    syscall("root of files", NR_PIVOT_ROOT, buffer(_BASE.encode() + b"\0"), buffer((_BASE + _OLD).encode() + b"\0"))
    os.chdir("/")
    _Root().make("/proc")
    mount("proc", "/proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    root = _Root()
    root.make(temporary)
    mount("cage", temporary, "tmpfs", _NOSUID | _NODEV, "size=%dm,mode=1777" % size_mb)
    _devices(root)
    writable = {path for path in write if not path.startswith("/dev/")}
    readable = {path for path in read if path != "/proc"} - writable
    # Parents first, so that they do not cover their children.
    for path in sorted(readable | writable, key=lambda path: (path.count("/"), path)):
        if path != temporary:
            root.show(path, path in writable)
    # An empty folder if it is not among the paths.
    root.make(working)
    unmount(_OLD, _MNT_DETACH)
    os.rmdir(_OLD)
    _restrict("/", _ATTR_RDONLY, recursive=False)
    os.chdir(working)


class _Root:
    """The new root, while the old one is still mounted below it."""

    def __init__(self):
        # Real paths by requested path; most requests share a few folders.
        self._made = {}

    def make(self, path):
        """Makes a folder, with the same links on the way as outside. Returns the real path."""
        if path not in self._made:
            self._made[path] = self._make(path)
        return self._made[path]

    def _make(self, path):
        at = ""
        parts = [part for part in path.split("/") if part]
        links = 0
        while parts:
            part = parts.pop(0)
            here = "%s/%s" % (at, part)
            if part == "..":
                at = os.path.dirname(at)
                continue
            if os.path.islink(_OLD + here) and not os.path.lexists(here):
                os.symlink(os.readlink(_OLD + here), here)
            if os.path.islink(here):
                links += 1
                if links > _MAX_LINKS:
                    raise WallError("root of files", errno.ELOOP)
                target = os.readlink(here)
                parts = [part for part in target.split("/") if part not in ("", ".")] + parts
                at = "" if target.startswith("/") else at
                continue
            if not os.path.isdir(here):
                os.mkdir(here, 0o755)
            at = here
        return at or "/"

    def show(self, path, writable):
        """Mounts a file or folder of the machine at the path that it has outside."""
        target = self._follow(path)
        if target is None:
            return
        # ``target`` contains no links: they would resolve in the new root.
        source = _OLD + target
        if os.path.isdir(source):
            self.make(target)
        elif not os.path.lexists(target):
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        mount(source, target, None, _BIND | _REC)
        _restrict(target, _ATTR_NOSUID | _ATTR_NODEV | (0 if writable else _ATTR_RDONLY))

    def _follow(self, path):
        """Makes the links that lead to a path, and returns their final target; None if it does not exist."""
        for _ in range(_MAX_LINKS):
            folder, name = os.path.split(path)
            here = "%s/%s" % (self.make(folder).rstrip("/"), name)
            try:
                target = os.readlink(_OLD + here)
            except OSError as error:
                # EINVAL: not a link.
                return here if error.errno == errno.EINVAL else None
            if not os.path.lexists(here):
                os.symlink(target, here)
            path = os.path.normpath(os.path.join(os.path.dirname(here), target))
        return None


def _devices(root):
    root.make("/dev/shm")
    for name in _NODES:
        if os.path.exists("%s/dev/%s" % (_OLD, name)):
            os.close(os.open("/dev/" + name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            mount("%s/dev/%s" % (_OLD, name), "/dev/" + name, None, _BIND)
    mount("cage", "/dev/shm", "tmpfs", _NOSUID | _NODEV, "size=64m,mode=1777")
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(target, "/dev/" + name)


def _restrict(path, attributes, recursive=True):
    """Sets restrictive attributes on a mount and, if ``recursive``, on those below it."""
    wanted = buffer(attributes.to_bytes(8, "little") + bytes(24))
    flags = _AT_RECURSIVE if recursive else 0
    name = buffer(os.fsencode(path) + b"\0")
    syscall("mount of %s" % path, NR_MOUNT_SETATTR, _AT_FDCWD, name, flags, wanted, 32)
