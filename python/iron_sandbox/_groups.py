"""Control groups limit the total use of all processes of a program, and end them at once. Used where available.

Version 2 where this user may create groups (below a user's systemd, in a container that owns its tree, as root), version 1
where its hierarchies are writable. The guard stays outside. The group's name identifies the guard, so that the next launch
removes the group of a guard that was killed.
"""

import _signal
import _thread
import os
import time

from ._priority import Priority

CONTROLLERS = ("cpu", "memory", "pids")
# Defaults: more than a program needs, less than exhausts a machine.
MAX_PROCESSES = 4096
MAX_MEMORY_SHARE = 0.8
_PREFIX = "iron-sandbox."
_REMOVE_SECONDS = 5


class Group:
    """The control group of one program: a folder in each hierarchy."""

    def __init__(self, folders):
        """``folders``: by controller; "" is the version 2 group, with any controllers."""
        self._folders = folders
        self._limits = {}
        self._joins = _open_all(folders.values())
        # The groups to which ``leave`` moves this process back.
        self._homes = {}
        self._unlimited = []
        self._leaving = _thread.allocate_lock()

    @classmethod
    def open(cls, limits=None):
        """Creates a group with ``limits`` (``_limits.NAMES``; default: set later). It has no folders where none can be made."""
        folders = {}
        for controller, parent in _parents().items():
            try:
                _remove_stale(parent)
                folder = os.path.join(parent, _name())
                os.makedirs(folder, exist_ok=True)
                folders[controller] = folder
            except OSError:
                pass  # ``controllers`` lists those that work.
        group = cls(folders)
        if limits is not None:
            group.limit(limits)
        return group

    def limit(self, limits):
        """Sets the limits of the group. Called once."""
        self._limits = limits
        for controller, folder in self._folders.items():
            try:
                _limit(folder, controller, limits)
            except OSError:
                self._unlimited.append(controller)

    def join(self):
        """Moves this process, and the children it starts from now on, into the group."""
        if not self._homes:
            self._move_in()

    def _move_in(self):
        refused = _move(self._joins)
        self._unlimited += [name for name, folder in self._folders.items() if folder in refused]

    def enter(self):
        """Moves this process into the group until ``leave``. Children started meanwhile begin there and need not ``join``."""
        own = _own_folders()
        try:
            homes = _open_all(own["" if name not in own else name] for name in self._folders)
        except (OSError, KeyError):
            return  # This process could not move back.
        self._move_in()
        self._homes = homes

    def leave(self):
        """Moves this process back to its groups before ``enter``."""
        if self._homes:
            self._leaving.acquire()
            self._leave()

    def leave_soon(self):
        """Runs ``leave`` on a thread, as the kernel takes some time for it."""
        if self._homes:
            self._leaving.acquire()
            _thread.start_new_thread(self._leave, ())

    def _leave(self):
        _move(self._homes)
        _close_all(self._homes)
        self._homes = {}
        self._leaving.release()

    def controllers(self):
        """Returns the controllers that apply to this process after ``join``."""
        inside = self._inside()
        return [name for name in CONTROLLERS if name in inside and self.holds(name)]

    def holds(self, controller):
        """Returns whether ``controller`` limits all processes together."""
        return controller in self._folders and controller not in self._unlimited

    def _inside(self):
        own = _own_paths()
        names = {name: "/" + os.path.basename(folder) for name, folder in self._folders.items()}
        return [name for name, end in names.items() if own.get(name, own.get("", "")).endswith(end)]

    @property
    def freezer(self):
        """The file that freezes (1) and resumes (0) all processes of the group; None where it does not exist."""
        file = self._folders.get("", "/") + "/cgroup.freeze"
        return file if os.path.exists(file) else None

    def priority(self):
        """Returns the ``Priority`` of the group's processes. Called after ``limit``."""
        return Priority(self._folders)

    def memory_fault(self):
        """Returns a sentence if the kernel killed a process because of the memory that all use together, else None."""
        folder = self._folders.get("memory", "/")
        for name in ("memory.events", "memory.oom_control"):
            try:
                with open(folder + "/" + name) as file:
                    counts = dict(line.split() for line in file)
            except OSError:
                continue
            if counts.get("oom_kill", "0") != "0":
                return "the kernel has killed a process at the limit of %d MiB (memory_mb)" % (
                    _memory(self._limits) >> 20
                )
        return None

    def end(self):
        """Kills the remaining processes of the group and removes it."""
        _close_all(self._joins)
        with self._leaving:
            if self._inside():
                return  # This process could not move back. The next launch removes the group.
        for folder in set(self._folders.values()):
            _remove(folder, _REMOVE_SECONDS)


def _open_all(folders):
    return {folder: os.open(folder + "/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC) for folder in folders}


def _close_all(files):
    for file in files.values():
        os.close(file)


def _move(places):
    """Moves this process. Returns the folders that refused it."""
    refused = []
    for folder, place in places.items():
        try:
            os.write(place, b"0")
        except OSError:
            refused.append(folder)
    return refused


def warm_up():
    """Rejoins the current group on a thread, which takes the delay of the kernel's first group change in a while."""
    _thread.start_new_thread(_join_own, ())


def _join_own():
    for folder in _own_folders().values():
        try:
            with open(folder + "/cgroup.procs", "wb", 0) as file:
                file.write(b"0")
            return
        except OSError:
            pass


def _name():
    """Returns a unique name that identifies the guard: its pid can recur later, or in another container."""
    return _PREFIX + ".".join((os.readlink("/proc/self/ns/pid")[5:-1], str(os.getpid()), _started(os.getpid())))


def _started(pid):
    with open("/proc/%d/stat" % pid) as file:
        return file.read().rpartition(")")[2].split()[19]


def _remove_stale(parent):
    here = _name().split(".")[1]
    for name in os.listdir(parent):
        if not name.startswith(_PREFIX + here + "."):
            continue
        _, _, pid, started = name.split(".")
        try:
            is_stale = _started(int(pid)) != started
        except OSError:
            is_stale = True
        if is_stale:
            _remove(os.path.join(parent, name), 0)


def _remove(folder, seconds):
    end = time.monotonic() + seconds
    while True:
        try:
            _kill(folder)
            os.rmdir(folder)
            return
        except FileNotFoundError:
            return
        except OSError:
            # Killed processes leave the group a little later.
            if time.monotonic() >= end:
                return
            time.sleep(0.005)


def _kill(folder):
    try:
        with open(folder + "/cgroup.kill", "wb", 0) as file:
            file.write(b"1")
    except OSError:
        with open(folder + "/cgroup.procs") as file:
            for line in file:
                try:
                    os.kill(int(line), _signal.SIGKILL)
                except OSError:
                    pass  # The process has already ended.


def _own_paths():
    """Returns the path of this process's group, by controller."""
    found = {}
    with open("/proc/self/cgroup") as file:
        for line in file:
            _, names, path = line.rstrip("\n").split(":", 2)
            found.update((name, path) for name in names.split(","))
    return found


def _own_folders():
    """Returns the folder of this process's group in each mounted hierarchy, by controller."""
    own, found = _own_paths(), {}
    with open("/proc/self/mountinfo") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            root, place = left.split()[3:5]
            kind, _, options = right.split(None, 2)
            names = [""] if kind == "cgroup2" else options.strip().split(",") if kind == "cgroup" else []
            for name in names:
                path = own.get(name)
                if (name == "" or name in CONTROLLERS) and path is not None and path.startswith(root):
                    found[name] = (place + "/" + path[len(root) :].lstrip("/")).rstrip("/")
    return found


def _parents():
    """Returns the folders where groups can be made, by controller."""
    found = {name: folder for name, folder in _own_folders().items() if name and _is_ours(folder)}
    unified = _own_folders().get("")
    if unified is None:
        return found
    # A group with processes, like our own, cannot enable controllers for its children; a sibling group can have them.
    places = [place for place in (os.path.dirname(unified), unified) if _is_ours(place)]
    for place in places:
        controllers = [name for name in _handed_on(place) if name not in found]
        if controllers:
            return {**found, **dict.fromkeys(["", *controllers], place)}
    return {**found, "": places[-1]} if places else found


def _is_ours(folder):
    return os.access(folder, os.W_OK | os.X_OK) and os.access(folder + "/cgroup.procs", os.W_OK)


def _handed_on(folder):
    """Enables CONTROLLERS for the groups in a folder where possible. Returns those that are enabled."""
    for name in CONTROLLERS:
        try:
            with open(folder + "/cgroup.subtree_control", "wb", 0) as file:
                file.write(b"+" + name.encode())
        except OSError:
            pass
    try:
        with open(folder + "/cgroup.subtree_control") as file:
            return [name for name in file.read().split() if name in CONTROLLERS]
    except OSError:
        return []


def _limit(folder, controller, limits):
    # The cpu controller needs no value: the group counts as one program, however many processes it has.
    if controller == "pids":
        _set(folder, (("pids.max", limits.get("processes", MAX_PROCESSES)),))
    elif controller == "memory":
        wanted = _memory(limits)
        # Swap is limited as well, or a program could exceed the limit by swapping.
        _set(folder, (("memory.max", wanted), ("memory.swap.max", 0)))
        _set(folder, (("memory.limit_in_bytes", wanted), ("memory.memsw.limit_in_bytes", wanted)))


def _memory(limits):
    if "memory_mb" in limits:
        return limits["memory_mb"] << 20
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * MAX_MEMORY_SHARE)


def _set(folder, values):
    """Writes those of the files that exist: the two versions name them differently."""
    for name, value in values:
        path = os.path.join(folder, name)
        if os.path.exists(path):
            with open(path, "w") as file:
                file.write(str(value))
