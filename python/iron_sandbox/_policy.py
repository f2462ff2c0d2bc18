"""The policy of a sandbox: level, paths, connections and limits, and the system paths that every program needs."""

import os
import sys

from . import PolicyError, _landlock
from ._files import read
from ._limits import NAMES as LIMITS
from ._names import RESOLVER_OPTIONS
from ._planted import Planted, kept_in, move_aside

LEVELS = ("observe", "standard", "strict")
# Standard where the kernel supports Landlock, else observe.
AUTO = "auto"
ALLOWABLE = ("unix", "udp", "listen")

_SYSTEM = (
    "/usr /bin /sbin /lib /lib32 /lib64 /libx32 /nix/store /proc"
    " /sys/devices/system /sys/fs/cgroup /sys/kernel/mm/transparent_hugepage"
).split()
# Not all of /etc: shadow, sudoers and host keys are left out.
_SETTINGS = (
    "alternatives ca-certificates ca-certificates.conf crypto-policies debian_version default/locale fonts"
    " gai.conf gitconfig group host.conf hostname hosts inputrc java java-17-openjdk java-21-openjdk ld.so.cache ld.so.conf"
    " ld.so.conf.d ld.so.preload locale.alias locale.conf localtime lsb-release machine-id magic magic.mime mime.types"
    " networks nsswitch.conf os-release passwd pip.conf pki/ca-trust pki/tls/cert.pem pki/tls/certs pki/tls/openssl.cnf profile"
    " profile.d protocols python3 python3.9 python3.10 python3.11 python3.12 python3.13 python3.14 redhat-release"
    " resolv.conf rpc services shells ssl/cert.pem ssl/certs ssl/openssl.cnf terminfo timezone wgetrc"
).split()
_DEVICES = "/dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /dev/shm".split()
# Variables that name files a program reads.
_NAMED_FILES = (
    "SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS WGETRC IRON_CAGE_CA_JKS"
).split()
# Variables that replace the usual folders of programs below the home folder.
_HOME_FOLDERS = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "node_use_env_proxy")
_NAMED_PATHS = ("PYTHONPATH", "NODE_PATH", "LD_LIBRARY_PATH")
_SYSTEM_FOLDERS = ("/usr/", "/bin/", "/sbin/", "/lib/")
_INTERPRETERS = ("python", "pypy", "node", "deno", "bun")


class Policy:
    """``connect``: with None the network is observed, with a list of "host:port" limited; strict is always limited. ``own``:
    folders that interpreters look into for modules of the program, whether or not it may read them. ``keep``: paths that it
    may not change although they are in a folder that it may write to, even if ``write`` lists them."""

    def __init__(self, level, read=(), write=(), hide=(), connect=None, allow=(), limits=None, own=(), keep=()):
        if level not in (*LEVELS, AUTO):
            raise PolicyError("level: expected one of %s, got %r" % (", ".join((*LEVELS, AUTO)), level))
        if level == AUTO:
            level = "standard" if _landlock.abi() else "observe"
        self.level = level
        self.allow = _checked_allow(allow)
        self.limits = _checked_limits(limits or {})
        self.read = [_absolute(path) for path in read]
        self.write = [_absolute(path) for path in write]
        self._folders = list(self.write)
        self._real_folders = list(dict.fromkeys(map(os.path.realpath, self.write)))
        self.hide = [_absolute(path) for path in hide]
        self._own = {_absolute(path) for path in own}
        # Read-only, unless ``write`` lists the path itself.
        self.keep = [path for folder in self.write for path in self._kept_in(folder)]
        self.keep += [_absolute(path) for path in keep]
        self.is_enforced = level != "observe"
        self.is_limited = self.is_enforced and (connect is not None or level == "strict")
        self._connect = _endpoints(connect or ())
        # Where connections go that are not listed; None refuses them.
        self.gateway = None
        # In the empty network of strict only a listener of that network is unreachable from outside.
        self.listens_inside = level == "strict" and "listen" not in self.allow
        self.may_listen = not self.is_limited or level == "strict" or "listen" in self.allow
        self.home = os.path.expanduser("~")
        # Private to the program: a new folder, or at strict an empty /tmp.
        folder = os.environ.get("TMPDIR") or "/tmp"
        self.temporary = "/tmp" if level == "strict" else os.path.join(folder, "iron-sandbox-" + os.urandom(8).hex())
        # The user's home folder is closed to the program. Its own is in the first folder that it may write to, with links
        # to the granted paths of the user's.
        work = next((path for path in self.write if not _is_below(self.home, [path])), self.temporary)
        self.own_home = os.path.join(work, ".iron-sandbox")
        self._granted = [path for path in self.read + self.write if _is_below(path, [self.home]) and path != self.home]
        self._prefixes = None
        # The packages of its Python are read-only and were never compiled, as uv installs them.
        self._is_uncompiled = False
        # Process id of the guard, outside the sandbox; set by ``launch``.
        self.guard = 0

    def _kept_in(self, folder):
        listed = [path for path in self.write if path != folder and _is_below(path, [folder])]
        return [path for path in kept_in(folder) if not _is_below(path, listed)]

    def _keep_programs(self, prefixes, environment):
        """Keeps the files that later run outside: the program's interpreter, this one, and the programs on PATH."""
        for path in [*prefixes, *_own(), *environment.get("PATH", "").split(":")]:
            real = _real(path)
            around = [folder for folder in self._real_folders if _is_below(real, [folder])]
            if around and os.path.lexists(os.path.join(os.path.dirname(path), "pyvenv.cfg")):
                path, real = os.path.dirname(path), os.path.dirname(real)
            # In a folder that is listed itself, or inside another listed one, it may be written knowingly.
            if len(around) == 1 and real not in around and path not in self.keep:
                self.keep.append(path)

    def may_change(self, path):
        """Returns True if the program may replace the file or folder at ``path``."""
        # A link can be replaced where it is, and its target where that is.
        places = (_real(path), os.path.join(_real(os.path.dirname(path)), os.path.basename(path)))
        within = [place for place in places if _is_below(place, self._real_folders)]
        keep = [os.path.realpath(kept) for kept in self.keep] if within else []
        return any(not _is_below(place, keep) for place in within)

    def require_own(self):
        """Raises PolicyError if the program could change the files that build the next sandbox."""
        for path in _own() if self.is_enforced else ():
            if self.may_change(path):
                raise PolicyError("the program may write to %s, which builds the sandbox: use another Python" % path)

    def planted(self):
        """Returns the ``Planted`` that finds planted files when the program has ended."""
        return Planted(self.hide + self.keep, self._folders) if self.is_enforced else Planted([])

    def environment(self, given):
        """Returns the program's variables: those ``given``, its own temporary folder, its process id inside the sandbox and
        the guard's outside."""
        own = dict(given, TMPDIR=self.temporary, IRON_SANDBOX_LEVEL=self.level, IRON_SANDBOX_PID=str(os.getpid()))
        own["IRON_SANDBOX_GUARD"] = str(self.guard)
        if self.is_enforced:
            own["HOME"] = self.own_home
            # Packages that the user installed remain importable.
            own.setdefault("PYTHONUSERBASE", os.path.join(self.home, ".local"))
            if self._is_uncompiled:
                # Otherwise each start would compile its imports again.
                own.setdefault("PYTHONPYCACHEPREFIX", os.path.join(self.own_home, ".cache/python"))
            for name in _HOME_FOLDERS:
                if not _is_below(own.get(name, ""), self.write):
                    own.pop(name, None)
        if self.is_limited:
            name, option = RESOLVER_OPTIONS
            own[name] = option
            if self.gateway is not None:
                # Its connections are redirected: a program behaves as without a proxy.
                own = {name: value for name, value in own.items() if name.lower() not in _PROXIES}
        return own

    def make_own_home(self):
        """Makes the program's home folder, with links to the granted paths of the user's. Raises OSError.

        Runs inside the sandbox: an earlier program may have put links on the way. Anything but a folder is moved aside.
        """
        if os.path.lexists(self.own_home) and (os.path.islink(self.own_home) or not os.path.isdir(self.own_home)):
            move_aside(self.own_home)
        os.makedirs(self.own_home, 0o700, exist_ok=True)
        try:
            with open(os.path.join(self.own_home, ".gitignore"), "x") as file:
                file.write("*\n")
        except FileExistsError:
            pass
        for path in self._granted:
            link = self.own_home + path[len(self.home) :]
            if not _is_below(link, self._granted) and not _is_below(self.own_home, [path]):
                try:
                    os.makedirs(os.path.dirname(link), exist_ok=True)
                    os.symlink(path, link)
                except OSError:
                    pass  # The program has something of its own there.

    def has_own_temporary(self, path):
        """Returns True if ``path`` is in a private /tmp that hides the machine's, and below no granted path."""
        if self.level != "strict" or not _is_below(path, [self.temporary]):
            return False
        return not _is_below(path, [granted for granted in self.read + self.write if granted != self.temporary])

    def counterpart(self, path):
        """Returns the path in the user's home for one in the program's own home, else None."""
        return self.home + path[len(self.own_home) :] if _is_below(path, [self.own_home]) else None

    def may_connect(self, host, port):
        """Returns True if a limited network may connect there. ``host``: a name or an address."""
        return (host, port) in self._connect

    def may_open(self, path, writing):
        """Returns True if this policy permits opening ``path``. Matches the kernel, except for links in the middle of a path."""
        if self._prefixes is None:
            # Cached, since this runs for every file that is opened.
            self._prefixes = [_prefixes(paths) for paths in (self.hide, self.write, self.read)]
        hide, write, read = self._prefixes
        below = path + "/"
        if below.startswith(hide):
            return False
        if below.startswith(write) or (not writing and below.startswith(read)):
            return True
        real = os.path.realpath(path)
        return real != path and self.may_open(real, writing)

    def is_worth_reporting(self, path, writing):
        """Returns True if opening ``path``, which this policy does not permit, can be the program's intention."""
        return writing or path not in self._own

    def complete(self, program, environment):
        """Adds the system paths that ``program``, or any program, needs. ``program``: absolute path."""
        self.read += _SYSTEM + ["/etc/" + name for name in _SETTINGS]
        prefixes = _prefixes_of(program)
        self._keep_programs(prefixes, environment)
        for prefix in prefixes:
            self.read.append(prefix)
            if not self.may_change(prefix):
                self.read += _editable(prefix)
            self._is_uncompiled |= prefix in self.keep and _is_uncompiled(prefix)
        self.read += [program, os.path.realpath(program)]
        for name in _NAMED_FILES:
            self.read += [os.path.abspath(environment[name])] if environment.get(name) else []
        for name in _NAMED_PATHS:
            self.read += [os.path.abspath(path) for path in environment.get(name, "").split(":") if path]
        # The user site, which Python adds to the path of every program.
        self.read += [path for path in _folders(os.path.join(self.home, ".local/lib")) if "/python" in path]
        self.write += _DEVICES
        self.read, self.write = _without_home(self.read, self.home), _without_home(self.write, self.home)
        # Added after the filter, as it may be the home folder.
        self.write.append(self.temporary)


def _prefixes_of(program):
    """Returns where an interpreter is installed, as <prefix>/bin/<program>: by its own path, by its real one, and what its
    virtual environment was made from. None for any other program."""
    found = []
    for path in (program, os.path.realpath(program)):
        folder, name = os.path.split(path)
        prefix, kind = os.path.split(folder)
        # A shim is a script that looks for the interpreter below the folder beside it.
        if kind == "shims" or kind == "bin" and name.startswith(_INTERPRETERS):
            found.append(prefix)
    return list(dict.fromkeys(found + [base for prefix in found for base in _bases(prefix)]))


def _own():
    """Returns the files that build the sandbox: this package and this Python."""
    return [os.path.dirname(os.path.abspath(__file__)), *_prefixes_of(sys.executable), sys.executable]


def _bases(environment):
    """Returns the prefix that a virtual environment names: its own interpreter may be a copy, or a link to another name."""
    lines = [line.partition("=") for line in _lines(os.path.join(environment, "pyvenv.cfg"))]
    homes = [value.strip() for name, _, value in lines if name.strip().lower() == "home"]
    return [os.path.dirname(home) for home in homes if os.path.isabs(home) and os.path.basename(home) == "bin"]


def _is_uncompiled(prefix):
    packages = [
        path
        for version in _folders(os.path.join(prefix, "lib"))
        for path in _folders(os.path.join(version, "site-packages"))
        if os.path.isfile(os.path.join(path, "__init__.py"))
    ]
    return bool(packages) and not any(os.path.isdir(os.path.join(path, "__pycache__")) for path in packages)


def _editable(prefix):
    """Returns the editable installs of an environment: the folders that its .pth files name."""
    found = []
    for version in _folders(os.path.join(prefix, "lib")):
        for path in _folders(os.path.join(version, "site-packages")):
            if path.endswith(".pth"):
                found += [line.strip() for line in _lines(path) if line.startswith("/")]
    return found


def _real(path):
    """Returns the real path; the system's own links lead to no other folder, and resolving them takes time."""
    return path if path.startswith(_SYSTEM_FOLDERS) else os.path.realpath(path)


def _lines(path):
    return (read(path) or "").splitlines()


def _folders(path):
    try:
        return [os.path.join(path, name) for name in os.listdir(path)]
    except OSError:
        return []


def _without_home(paths, home):
    """Returns ``paths`` without the user's home and its parents, which would grant everything."""
    return [path for path in dict.fromkeys(paths) if not _is_below(home, [path]) and path != "/"]


def _is_below(path, folders):
    return (path + "/").startswith(_prefixes(folders))


def _prefixes(folders):
    return tuple(folder.rstrip("/") + "/" for folder in folders)


def _absolute(path):
    return os.path.abspath(os.path.expanduser(os.fspath(path)))


def _endpoints(texts):
    """Returns (host, port) pairs; names in /etc/hosts also by address, since the C library resolves those itself."""
    found = {_endpoint(text) for text in texts}
    try:
        with open("/etc/hosts", encoding="utf-8", errors="replace") as file:
            lines = [line.partition("#")[0].lower().split() for line in file]
    except OSError:
        lines = []
    addresses = [(line[0], line[1:]) for line in lines if len(line) > 1]
    for host, port in list(found):
        found |= {(address, port) for address, names in addresses if host in names}
    return found


def _endpoint(text):
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise PolicyError("connect: expected host:port, got %r" % text)
    return host.strip("[]").lower(), int(port)


def _checked_allow(allow):
    for word in allow:
        if word not in ALLOWABLE:
            raise PolicyError("allow: expected some of %s, got %r" % (", ".join(ALLOWABLE), word))
    return tuple(allow)


def _checked_limits(limits):
    for name, value in limits.items():
        if name not in LIMITS:
            raise PolicyError("limits: expected some of %s, got %r" % (", ".join(LIMITS), name))
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise PolicyError("limits: expected a whole number from 1 for %s, got %r" % (name, value))
    return dict(limits)
