"""Tries to get out of a cage, one way after the other, and writes the results as JSON. Run inside of one, by stage.py.

A probe that returns got through; its exception shows how it was stopped. Each declares whether it does harm.
"""

import contextlib
import ctypes
import errno
import json
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import time

STAGE = json.loads(sys.argv[1])
WORK, SECRET, SERVER = STAGE["work"], STAGE["secret"], STAGE["server"]
GATEWAY, OTHER, ELSEWHERE = STAGE["gateway"], STAGE["other"], STAGE["elsewhere"]
HOME = os.path.dirname(SECRET)
libc = ctypes.CDLL(None, use_errno=True)
X86 = os.uname().machine == "x86_64"
PROBES = []


def probe(title, harms=True):
    def add(function):
        PROBES.append((title, harms, function))
        return function

    return add


def syscall(number, *args):
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def either(on_x86, on_arm):
    return on_x86 if X86 else on_arm


def connect(family, address, kind=socket.SOCK_STREAM, protocol=0):
    with socket.socket(family, kind, protocol) as own:
        own.settimeout(3)
        own.connect(address)
        own.send(b"x")


def forked(function):
    """Runs a function that may kill its process."""
    child = os.fork()
    if child == 0:
        try:
            function()
            os._exit(0)
        except OSError as error:
            os._exit(error.errno or 1)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        raise OSError(0, "killed by signal %d" % os.WTERMSIG(status))
    if os.WEXITSTATUS(status):
        raise OSError(os.WEXITSTATUS(status), os.strerror(os.WEXITSTATUS(status)))


def read(path):
    with open(path, "rb") as file:
        return file.read(100)


def expect(is_so, what="nothing came of it"):
    if not is_so:
        raise OSError(0, what)


# First: later probes leave files open.


@probe("files that were open when it began")
def _():
    own = os.open(".", os.O_PATH)
    expect([name for name in os.listdir("/proc/self/fd") if int(name) > 2 and int(name) < own], "none")


# The network.


@probe("connect to the gateway", harms=False)
def _():
    connect(socket.AF_INET, ("127.0.0.1", GATEWAY))


@probe("connect to another port of this machine")
def _():
    connect(socket.AF_INET, ("127.0.0.1", OTHER))


@probe("connect to another host")
def _():
    connect(socket.AF_INET, ("127.0.0.2", ELSEWHERE))


@probe("connect to another host on the gateway's port number")
def _():
    connect(socket.AF_INET, ("127.0.0.2", GATEWAY))


@probe("connect by IPv6")
def _():
    connect(socket.AF_INET6, ("::1", STAGE["other6"]))


@probe("connect by an IPv4 address written as IPv6")
def _():
    connect(socket.AF_INET6, ("::ffff:127.0.0.1", OTHER))


@probe("connect by sending (TCP fast open)")
def _():
    with socket.socket() as own:
        own.sendto(b"x", 0x20000000, ("127.0.0.1", OTHER))


@probe("connect by multipath TCP")
def _():
    connect(socket.AF_INET, ("127.0.0.1", OTHER), protocol=262)


@probe("connect from many threads while the address changes")
def _():
    import threading

    # The kernel reads the address once more after it was looked at, if it is asked to go on.
    good = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(GATEWAY), socket.inet_aton("127.0.0.1"))
    bad = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(OTHER), socket.inet_aton("127.0.0.1"))
    memory = ctypes.create_string_buffer(good, 16)
    is_over = threading.Event()

    def change():
        while not is_over.is_set():
            ctypes.memmove(memory, bad, 16)
            ctypes.memmove(memory, good, 16)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        for _ in range(200):
            with socket.socket() as own:
                if libc.connect(own.fileno(), memory, 16) == 0 and own.getpeername()[1] == OTHER:
                    return
    finally:
        is_over.set()
        changer.join()
    raise OSError(errno.EACCES, "never the other port")


@probe("send a datagram (UDP, as to a name server)")
def _():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.sendto(b"x", ("127.0.0.1", STAGE["udp"]))
        own.settimeout(2)
        own.recv(10)


@probe("raw socket")
def _():
    socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close()


@probe("packet socket")
def _():
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()


@probe("unix socket of another program (as docker.sock, ssh-agent)")
def _():
    connect(socket.AF_UNIX, STAGE["unix"])


@probe("abstract unix socket of another program")
def _():
    connect(socket.AF_UNIX, "\0" + STAGE["abstract"])


def datagram(send, kind=socket.SOCK_DGRAM):
    """Sends by one end of a pair, which has no address, to another program."""
    for own in socket.socketpair(socket.AF_UNIX, kind):
        with own:
            send(own)


@probe("a datagram from a pair to another program's socket")
def _():
    datagram(lambda own: own.sendto(b"x", STAGE["datagrams"]))


@probe("… to an abstract one")
def _():
    datagram(lambda own: own.sendto(b"x", "\0" + STAGE["abstract"] + "-datagrams"))


@probe("… by sendmsg")
def _():
    datagram(lambda own: own.sendmsg([b"x"], [], 0, STAGE["datagrams"]))


@probe("… by sendmmsg")
def _():
    name = struct.pack("=H108s", socket.AF_UNIX, STAGE["datagrams"].encode())
    text = ctypes.create_string_buffer(b"x", 1)
    part = ctypes.create_string_buffer(struct.pack("=QQ", ctypes.addressof(text), 1), 16)
    place = ctypes.create_string_buffer(name, len(name))
    head = struct.pack("=QIxxxxQQQQi4xI4x", ctypes.addressof(place), len(name), ctypes.addressof(part), 1, 0, 0, 0, 0)
    datagram(lambda own: syscall(either(307, 269), own.fileno(), ctypes.create_string_buffer(head), 1, 0))


@probe("… once it is connected")
def _():
    def send(own):
        own.connect(STAGE["datagrams"])
        own.send(b"x")

    datagram(send)


@probe("… from a raw pair")
def _():
    datagram(lambda own: own.sendto(b"x", STAGE["datagrams"]), socket.SOCK_RAW)


@probe("an open file to another program (SCM_RIGHTS)")
def _():
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("=i", 0))]
    datagram(lambda own: own.sendmsg([b"x"], rights, 0, STAGE["datagrams"]))


@probe("take datagrams at an address of its own")
def _():
    datagram(lambda own: own.bind(os.path.join(WORK, "datagrams-%d" % own.fileno())))


@probe("send by a stream's pair to another program's socket")
def _():
    datagram(lambda own: own.sendto(b"x", STAGE["unix"]), socket.SOCK_STREAM)


@probe("take a stream's pair to another program's socket")
def _():
    datagram(lambda own: own.connect(STAGE["unix"]), socket.SOCK_STREAM)


@probe("listen on a stream's pair")
def _():
    def listen(own):
        own.bind(os.path.join(WORK, "stream-%d" % own.fileno()))
        own.listen()

    datagram(listen, socket.SOCK_STREAM)


@probe("open files among its own processes", harms=False)
def _():
    one, other = socket.socketpair()
    one.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("=i", 0))])
    expect(other.recvmsg(1, socket.CMSG_SPACE(4))[1])


@probe("netlink: addresses and routes", harms=False)
def _():
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()


@probe("netlink: audit, netfilter")
def _():
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12).close()


@probe("vsock (to the host of a virtual machine)")
def _():
    socket.socket(40, socket.SOCK_STREAM).close()


@probe("the kernel's cryptography sockets")
def _():
    socket.socket(38, socket.SOCK_SEQPACKET).close()


@probe("take the gateway's port")
def _():
    with socket.socket() as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        own.bind(("127.0.0.1", GATEWAY))
        own.listen()
        reached(own, GATEWAY)


@probe("be reached from outside")
def _():
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        own.listen()
        reached(own, own.getsockname()[1])


@probe("be reached from outside without having chosen a port")
def _():
    with socket.socket() as own:
        own.listen()
        reached(own, own.getsockname()[1])


@probe("be reached from outside by a connection that is taken back")
def _():
    with socket.create_connection(("127.0.0.1", GATEWAY)) as own:
        unspecified = struct.pack("=H14x", socket.AF_UNSPEC)
        if libc.connect(own.fileno(), unspecified, len(unspecified)):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        own.listen()
        reached(own, own.getsockname()[1])


@probe("be reached from outside by a connection that is given up before it is made")
def _():
    with socket.socket() as own:
        own.setblocking(False)
        expect(own.connect_ex(("127.0.0.1", STAGE["full"])) == errno.EINPROGRESS, "made at once, or refused")
        own.shutdown(socket.SHUT_RDWR)
        own.listen()
        reached(own, own.getsockname()[1])


def reached(own, port):
    """The stage connects to the ports that are written to this file."""
    with open(os.path.join(WORK, "reach-me"), "w") as file:
        file.write(str(port))
    own.settimeout(1)
    own.accept()[0].close()


# Files.


@probe("write in the work folder", harms=False)
def _():
    with open(os.path.join(WORK, "own"), "w") as file:
        file.write("x")


@probe("a temporary file", harms=False)
def _():
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x")


@probe("read /etc/passwd", harms=False)
def _():
    read("/etc/passwd")


@probe("read a secret in the home folder")
def _():
    read(SECRET)


@probe("… through a symbolic link")
def _():
    link = os.path.join(WORK, "link-to-secret")
    if not os.path.islink(link):
        os.symlink(SECRET, link)
    read(link)


@probe("… through a hard link")
def _():
    os.link(SECRET, os.path.join(WORK, "hard"))
    read(os.path.join(WORK, "hard"))


@probe("… through a descriptor that only names it (O_PATH)")
def _():
    file = os.open(SECRET, os.O_PATH)
    read("/proc/self/fd/%d" % file)


@probe("… through a folder's descriptor")
def _():
    folder = os.open(HOME, os.O_PATH)
    os.close(os.open(os.path.basename(SECRET), os.O_RDONLY, dir_fd=folder))


@probe("… through dots")
def _():
    read(os.path.join(WORK, "../" * WORK.count("/")) + SECRET[1:])


@probe("… by openat2")
def _():
    syscall(437, -100, SECRET.encode(), ctypes.create_string_buffer(24), 24)


@probe("… through /proc/self/root, /proc/1/root and the server's")
def _():
    for pid in ("1", str(SERVER), "self"):
        try:
            return read("/proc/%s/root%s" % (pid, SECRET))
        except OSError as error:
            last = error
    raise last


@probe("… while a link is changed under it")
def _():
    import threading

    link, other = os.path.join(WORK, "changing"), os.path.join(WORK, "own")
    with open(other, "w") as file:
        file.write("x")
    is_over = threading.Event()

    def change():
        at = 0
        while not is_over.is_set():
            at += 1
            name = "%s.%d" % (link, at % 2)
            os.symlink(SECRET if at % 2 else other, name)
            os.rename(name, link)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        for _ in range(500):
            try:
                if b"hush" in read(link):
                    return
            except OSError:
                pass
    finally:
        is_over.set()
        changer.join()
    raise OSError(errno.EACCES, "never the secret")


@probe("… by a handle")
def _():
    handle = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0) + bytes(128))
    mount_id = ctypes.c_int()
    syscall(either(303, 264), -100, SECRET.encode(), handle, ctypes.byref(mount_id), 0)


@probe("… by io_uring")
def _():
    syscall(425, 1, ctypes.create_string_buffer(120))


@probe("list the home folder")
def _():
    expect(os.path.basename(SECRET) in os.listdir(HOME))


@probe("change the secret")
def _():
    with open(SECRET, "a"):
        pass


@probe("truncate the secret")
def _():
    os.truncate(SECRET, os.stat(SECRET).st_size)


@probe("move the secret into the work folder")
def _():
    os.rename(SECRET, os.path.join(WORK, "moved"))
    os.rename(os.path.join(WORK, "moved"), SECRET)


@probe("delete a file in the home folder")
def _():
    os.unlink(os.path.join(HOME, "deletable"))


@probe("write into the home folder (as .bashrc, a git hook)")
def _():
    with open(os.path.join(HOME, ".bashrc"), "a") as file:
        file.write("x")
    expect(os.path.getsize(os.path.join(HOME, ".bashrc")) > 1, "into a folder of its own")


@probe("change the mode of the secret")
def _():
    os.chmod(SECRET, 0o600)


@probe("know that the secret is there", harms=False)
def _():
    os.stat(SECRET)


@probe("write into /tmp")
def _():
    path = "/tmp/" + STAGE["mark"]
    with open(path, "w") as file:
        file.write("x")
    expect(not STAGE["strict"], "into a folder of its own")


@probe("write into /usr/local")
def _():
    with open("/usr/local/" + STAGE["mark"], "w") as file:
        file.write("x")
    os.unlink("/usr/local/" + STAGE["mark"])


@probe("read /etc/shadow")
def _():
    read("/etc/shadow")


@probe("read the server's database in the work folder")
def _():
    expect(b"ledger" in read(STAGE["database"]), "empty")


@probe("change the server's database in the work folder")
def _():
    with open(STAGE["database"], "ab") as file:
        file.write(b"x")


@probe("move the server's database away")
def _():
    os.rename(STAGE["database"], STAGE["database"] + ".away")
    os.rename(STAGE["database"] + ".away", STAGE["database"])


@probe("move the folder above a file of the server's away")
def _():
    # Another could be put in its place, and this one read by the next agent.
    folder = os.path.dirname(STAGE["nested"])
    os.rename(folder, folder + ".away")
    os.rename(folder + ".away", folder)


@probe("replace a link on the way to a file of the server's")
def _():
    link = os.path.dirname(STAGE["linked"])
    os.rename(link, link + ".away")
    os.rename(link + ".away", link)


@probe("read what is behind that link")
def _():
    read(STAGE["linked"])


@probe("change a hook of git's, or its configuration")
def _():
    for name in ("hooks/pre-commit", "config"):
        try:
            with open(os.path.join(WORK, ".git", name), "a") as file:
                return file.write("x")
        except OSError as error:
            last = error
    raise last


@probe("put another folder in the place of git's")
def _():
    os.rename(os.path.join(WORK, ".git"), os.path.join(WORK, "git"))
    os.rename(os.path.join(WORK, "git"), os.path.join(WORK, ".git"))


def leaves_setuid(title, bits=0o4000):
    """A program that runs as its owner, or with its group, for any user."""

    def add(make):
        @probe("a set-user-ID program: %s" % title)
        def _():
            path = os.path.join(WORK, "as-owner")
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            make(path)
            is_set = os.stat(path).st_mode & bits
            os.unlink(path)
            expect(is_set, "not set")

        return make

    return add


def plain(path):
    with open(path, "w"):
        return path


@leaves_setuid("chmod")
def _(path):
    if not X86:
        raise OSError(errno.ENOSYS, "no such call here")
    syscall(90, plain(path).encode(), 0o4755)


@leaves_setuid("fchmod")
def _(path):
    with open(path, "w") as file:
        os.fchmod(file.fileno(), 0o4755)


@leaves_setuid("fchmodat")
def _(path):
    syscall(either(268, 53), -100, plain(path).encode(), 0o4755)


@leaves_setuid("fchmodat2")
def _(path):
    syscall(452, -100, plain(path).encode(), 0o4755, 0)


@leaves_setuid("by a descriptor's path")
def _(path):
    with open(path, "w") as file:
        os.chmod("/proc/self/fd/%d" % file.fileno(), 0o4755)


@leaves_setuid("set-group-ID", 0o2000)
def _(path):
    os.chmod(plain(path), 0o2755)


@leaves_setuid("both", 0o6000)
def _(path):
    os.chmod(plain(path), 0o6755)


@leaves_setuid("open")
def _(path):
    if not X86:
        raise OSError(errno.ENOSYS, "no such call here")
    syscall(2, path.encode(), os.O_CREAT | os.O_WRONLY, 0o4755)


@leaves_setuid("openat")
def _(path):
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o4755))


@leaves_setuid("openat2")
def _(path):
    how = ctypes.create_string_buffer(struct.pack("=QQQ", os.O_CREAT | os.O_WRONLY, 0o4755, 0), 24)
    os.close(syscall(437, -100, path.encode(), how, 24))


@leaves_setuid("creat")
def _(path):
    if not X86:
        raise OSError(errno.ENOSYS, "no such call here")
    syscall(85, path.encode(), 0o4755)


@leaves_setuid("mknod")
def _(path):
    if not X86:
        raise OSError(errno.ENOSYS, "no such call here")
    syscall(133, path.encode(), 0o104755, 0)


@leaves_setuid("mknodat")
def _(path):
    syscall(either(259, 33), -100, path.encode(), 0o104755, 0)


@leaves_setuid("a file without a name")
def _(path):
    own = os.open(WORK, os.O_TMPFILE | os.O_WRONLY, 0o4755)
    os.link("/proc/self/fd/%d" % own, path, follow_symlinks=True)


@leaves_setuid("a copy that keeps its mode")
def _(path):
    import shutil

    expect("setuid" in STAGE, "only root can make one")
    shutil.copy(STAGE["setuid"], path)


@probe("a program with privileges of its own (capabilities)")
def _():
    path = plain(os.path.join(WORK, "capable"))
    os.setxattr(path, "security.capability", struct.pack("<5I", 0x02000001, 1 << 21, 0, 0, 0))


@probe("change a module of the interpreter's")
def _():
    with open(os.__file__, "r+b"):
        pass


@probe("put a module beside the interpreter's")
def _():
    plain(os.path.join(os.path.dirname(os.__file__), STAGE["mark"] + ".py"))
    os.unlink(os.path.join(os.path.dirname(os.__file__), STAGE["mark"] + ".py"))


@probe("change what builds the cage")
def _():
    with open(STAGE["launcher"], "r+b"):
        pass


@probe("make a device")
def _():
    path = os.path.join(WORK, "device")
    os.mknod(path, 0o600 | 0o060000, os.makedev(254, 0))
    os.unlink(path)


@probe("read the disk, the kernel's memory or its log")
def _():
    for path in ("/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/mem", "/dev/kmsg", "/proc/kcore"):
        try:
            return read(path)
        except OSError as error:
            last = error
    raise last


@probe("set what the kernel runs after a crash")
def _():
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/kernel/uevent_helper"):
        try:
            return os.close(os.open(path, os.O_WRONLY))
        except OSError as error:
            last = error
    raise last


@probe("change control groups")
def _():
    os.mkdir("/sys/fs/cgroup/memory/" + STAGE["mark"])
    os.rmdir("/sys/fs/cgroup/memory/" + STAGE["mark"])


@probe("memory that other programs share by name (/dev/shm)")
def _():
    read("/dev/shm/" + STAGE["mark"])


@probe("memory that other programs share by number (System V)")
def _():
    if libc.shmget(STAGE["shared"], 0, 0) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


# Processes.


@probe("the server's environment")
def _():
    expect(read("/proc/%d/environ" % SERVER))


@probe("the server's memory")
def _():
    os.close(os.open("/proc/%d/mem" % SERVER, os.O_RDONLY))


@probe("the list of the server's open files", harms=False)
def _():
    os.listdir("/proc/%d/fd" % SERVER)


@probe("one of the server's open files")
def _():
    with open("/proc/%d/fd/%d" % (SERVER, STAGE["server_fd"])) as file:
        file.read()


@probe("the list of processes", harms=False)
def _():
    expect(str(SERVER) in os.listdir("/proc") and b"sleep" in read("/proc/%d/cmdline" % SERVER))


@probe("a signal to the server")
def _():
    expect(STAGE["sees_server"], "another process of its own has the number")
    os.kill(SERVER, 0)


@probe("a signal to the guard of this cage")
def _():
    guard = int(os.environ["STAGE_GUARD"]) if "STAGE_GUARD" in os.environ else os.getppid()
    expect(guard > 1 and STAGE["sees_server"], "not there")
    os.kill(guard, 0)


@probe("a signal by a process descriptor")
def _():
    expect(STAGE["sees_server"], "another process of its own has the number")
    syscall(424, os.pidfd_open(SERVER), 0, None, 0)


@probe("ptrace")
def _():
    forked(lambda: syscall(either(101, 117), 16, SERVER, 0, 0))


@probe("process_vm_readv")
def _():
    syscall(either(310, 270), SERVER, 0, 0, 0, 0, 0)


@probe("another process's descriptor")
def _():
    syscall(438, os.pidfd_open(os.getpid()), 0, 0)


@probe("limits of another process")
def _():
    expect(STAGE["sees_server"], "another process of its own has the number")
    syscall(either(302, 261), SERVER, 7, None, ctypes.create_string_buffer(16))


@probe("own memory through /proc/self/mem", harms=False)
def _():
    os.close(os.open("/proc/self/mem", os.O_RDONLY))


@probe("run what is only in memory (memfd)", harms=False)
def _():
    own = os.memfd_create("x", 0)
    with open("/bin/true", "rb") as file:
        os.write(own, file.read())
    subprocess.run(["/proc/self/fd/%d" % own], pass_fds=[own], check=True)


# The kernel.


def refused(number, *args):
    """A call that the cage refuses by name; without one it fails by its arguments, or works."""
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    if result < 0 and ctypes.get_errno() in (errno.EPERM, errno.ENOSYS, errno.EACCES):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@probe("a user namespace (unshare)")
def _():
    forked(lambda: syscall(either(272, 97), 0x10000000))


@probe("a user namespace (clone)")
def _():
    def clone():
        child = syscall(either(56, 220), 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)
        if child == 0:
            os._exit(0)

    forked(clone)


@probe("a user namespace (clone3)")
def _():
    def clone():
        args = struct.pack("=8Q", 0x10000000, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
        if syscall(435, ctypes.create_string_buffer(args, 64), 64) == 0:
            os._exit(0)

    forked(clone)


@probe("a user namespace (the unshare program)")
def _():
    subprocess.run(["unshare", "-Ur", "true"], check=True, capture_output=True)


@probe("another process's namespaces (setns)")
def _():
    own = os.open("/proc/self/ns/uts", os.O_RDONLY)
    forked(lambda: syscall(either(308, 268), own, 0))


@probe("mount")
def _():
    forked(lambda: refused(either(165, 40), b"none", b"/nowhere", b"tmpfs", 0, 0))


@probe("take a mount away (what hides the database)")
def _():
    forked(lambda: refused(either(166, 39), STAGE["database"].encode(), 2))


@probe("mount by the newer calls")
def _():
    refused(430, b"tmpfs", 0)


@probe("open_tree")
def _():
    refused(428, -100, b"/nowhere", 1)


@probe("pivot_root and chroot")
def _():
    forked(lambda: refused(either(161, 51), b"."))


@probe("programs in the kernel (bpf)")
def _():
    refused(either(321, 280), 0, 0, 0)


@probe("performance counters")
def _():
    refused(either(298, 241), ctypes.create_string_buffer(128), 0, -1, -1, 0)


@probe("keys of the session (keyctl)")
def _():
    refused(either(250, 219), 0, -3, 1)


@probe("add_key and request_key")
def _():
    refused(either(248, 217), b"user", b"x", b"x", 1, -3)


@probe("userfaultfd")
def _():
    refused(either(323, 282), 1)


@probe("modules")
def _():
    refused(either(313, 273), -1, b"", 0)


@probe("another kernel (kexec)")
def _():
    refused(either(246, 104), 0, 0, 0, 1 << 60)


@probe("advice about another process's memory")
def _():
    refused(440, -1, 0, 0, 0, 0)


@probe("release another process's memory")
def _():
    refused(448, -1, 0)


@probe("compare another process's files")
def _():
    refused(either(312, 272), SERVER, SERVER, 0, 0, 0)


@probe("move another process's memory")
def _():
    refused(either(279, 239), SERVER, 0, 0, 0, 0, 0)


@probe("migrate another process's memory")
def _():
    refused(either(256, 238), SERVER, 0, 0, 0)


@probe("memory into a pipe (vmsplice)")
def _():
    refused(either(278, 75), -1, 0, 0, 0)


@probe("watch all files (fanotify)")
def _():
    refused(either(300, 262), 0, 0)


@probe("change a mount (mount_setattr)")
def _():
    refused(442, -100, b".", 0, 0, 0)


@probe("list mounts (listmount)")
def _():
    refused(458, 0, 0, 0, 0)


@probe("change a file system (fspick)")
def _():
    refused(433, -100, b".", 0)


@probe("move a mount (move_mount)")
def _():
    refused(429, -1, b"", -100, b".", 4)


@probe("message queues by number (System V)")
def _():
    refused(either(68, 186), STAGE["shared"], 0)


@probe("message queues by name (POSIX)")
def _():
    os.close(syscall(either(240, 180), STAGE["mark"].encode(), os.O_RDWR, 0, 0))


@probe("take away message queues by name (POSIX)")
def _():
    syscall(either(241, 181), STAGE["mark"].encode())


@probe("semaphores by number (System V)")
def _():
    refused(either(64, 190), STAGE["shared"], 1, 0)


@probe("quotas")
def _():
    refused(either(179, 60), 0, 0, 0, 0)


@probe("accounting of processes")
def _():
    forked(lambda: refused(either(163, 89), b"/nowhere"))


@probe("swap")
def _():
    forked(lambda: refused(either(167, 224), b"/nowhere", 0))


@probe("the name of the machine")
def _():
    refused(either(170, 161), b"x", 100000)


@probe("the kernel's log by its call")
def _():
    refused(either(103, 116), 3, 0, -1)


@probe("modules from memory")
def _():
    refused(either(175, 105), 0, 0, b"")


@probe("another kernel from a file")
def _():
    refused(either(320, 294), -1, -1, 0, 0, 1 << 30)


@probe("the clock")
def _():
    refused(either(227, 112), 0, 0)


@probe("another personality (addresses that can be guessed)")
def _():
    forked(lambda: refused(either(135, 92), 0x0040000))


@probe("a call that the filter does not know")
def _():
    if libc.syscall(ctypes.c_long(9999)) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@probe("a call of the x32 machine")
def _():
    refused(0x40000000 + 39)


@probe("a call of the 32-bit machine (int 0x80)")
def _():
    if not X86:
        raise OSError(0, "not on this machine")

    def call():
        # mov eax, 20 (getpid of that machine); int 0x80; ret
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
        at = ctypes.addressof(ctypes.c_char.from_buffer(code))
        expect(ctypes.CFUNCTYPE(ctypes.c_int)(at)() > 0)

    forked(call)


@probe("type into the terminal that started it (TIOCSTI)")
def _():
    import fcntl

    try:
        fcntl.ioctl(0, 0x5412, b"x")
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EIO):
            raise


# Removing restrictions that were set before.


@probe("allow new privileges again")
def _():
    if libc.prctl(38, 0, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "invalid")


@probe("run a program as another user (setuid)")
def _():
    # Only root can make one.
    if "setuid" in STAGE:
        expect(b"4711" in subprocess.check_output([STAGE["setuid"], "-u"]), "no new privileges")
    expect("NoNewPrivs:\t0" in read_text("/proc/self/status"), "no new privileges")


@probe("switch the filter off")
def _():
    expect("Seccomp:\t0" in read_text("/proc/self/status"), "in force")


@probe("a wider Landlock over the present one")
def _():
    rights = ctypes.create_string_buffer(struct.pack("Q", (1 << 13) - 1), 8)
    ruleset = syscall(444, rights, 8, 0)
    root = os.open("/", os.O_PATH)
    syscall(445, ruleset, 1, ctypes.create_string_buffer(struct.pack("=Qi", (1 << 13) - 1, root), 12), 0)

    def widen():
        libc.prctl(38, 1, 0, 0, 0)
        syscall(446, ruleset, 0)
        read(SECRET)

    forked(widen)


@probe("privileges over the machine (load modules, raw network, trace)")
def _():
    held = int(read_text("/proc/self/status").partition("CapEff:\t")[2][:16], 16)
    expect(held & (1 << 16 | 1 << 13 | 1 << 19 | 1 << 21 | 1 << 12), "none")


@probe("raise its own limits")
def _():
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))


@probe("outlive the cage (setsid, two forks)", harms=False)
def _():
    # The stage looks whether it is gone.
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for descriptor in (0, 1, 2):
                os.close(descriptor)
            os.execvp("sleep", ["sleep", STAGE["mark_seconds"]])
        os._exit(0)
    time.sleep(0.5)


def read_text(path):
    with open(path) as file:
        return file.read()


def leave(name):
    """Puts a file where others look; its effect is checked when the cage has ended."""
    path = os.path.join(WORK, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write("x")


def main():
    results = []
    for title, harms, function in PROBES:
        try:
            function()
            results.append([title, harms, "open", ""])
        except BaseException as error:
            name = errno.errorcode.get(getattr(error, "errno", None) or 0)
            results.append([title, harms, "blocked", name or getattr(error, "strerror", None) or repr(error)])
    for name in STAGE["left"]:
        leave(name)
    json.dump(results, sys.stdout)


main()
