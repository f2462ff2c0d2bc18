"""Starts a program in a sandbox, as three processes: a guard outside, an init inside, and below it the program.

    guard    the process that the caller knows, outside every restriction. Forwards signals, decides about connections
             (``_broker.py``) and ends as the program ends
    init     ends with the guard, and everything inside ends with it; process 1 where the sandbox has a PID namespace
    program  applies the restrictions to its own process, as the last step before it becomes the program (``_inside.py``)

The rules are:
- If a restriction cannot be applied, the program is not started, and the guard reports which restriction and why.
- A signal to the process group reaches the program directly; one to the guard alone is forwarded, once.
- If any of the three is killed, the other two end.
"""

import _signal
import os
import select
import struct
import sys
import time

from ._channel import ADOPTED, EXIT, FAULT, LISTENER, PASSED_ON, SEEN, SEND_SIGNAL, SOCKET, Signals, open_pair
from ._groups import Group
from ._kernel import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, prctl, require_support

# Within this time a signal to the process group also reaches init.
_GROUP_SECONDS = 0.2
# A process that has not ended by then is stuck in the kernel.
_END_SECONDS = 5


def launch(policy, body, report=None, ignored=None, group=None):
    """Runs ``body()`` in a process restricted by ``policy``, and ends as that process does. Never returns.

    ``body`` becomes the program (``os.exec…``) or raises SystemExit. ``report``: a descriptor for the lines of
    ``_reports.py``. ``ignored``: signals that are ignored when the program starts. (Default: those that this process
    ignores.) ``group``: the control group that this process is already in. (Default: none.)
    """
    require_support()
    signals = Signals(ignored)
    prctl("guard", PR_SET_CHILD_SUBREAPER, 1)
    ours, theirs = open_pair()
    if policy.level != "strict":
        os.mkdir(policy.temporary, 0o700)
    guard = policy.guard = os.getpid()
    if group is None:
        group = Group.open(policy.limits)
    else:
        group.limit(policy.limits)
    planted = policy.planted()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        # Otherwise init would hold the guard's end open and never see it close.
        ours.close()
        prctl("init", PR_SET_PDEATHSIG, _signal.SIGKILL)
        if os.getppid() == guard:
            from ._inside import be_init

            be_init(policy, body, theirs, signals, group)
        os._exit(1)
    theirs.close()
    group.leave_soon()
    # Imported after the fork, so that both sides load their modules at the same time.
    from ._reports import Reports

    reports = Reports(report)
    status = _Guard(policy, ours, signals, reports, child, group).watch()
    for path, aside in planted.move_aside():
        reports.add_planted(path, aside)
    if policy.level != "strict":
        _remove(policy.temporary)
    _end_like(status)


class _Guard:
    """The process outside: waits for the program to end, and acts for the processes inside."""

    def __init__(self, policy, channel, signals, reports, child, group):
        from ._broker import Broker

        self._make_broker = Broker
        self._group = group
        self._priority = group.priority()
        self._policy = policy
        self._child = child
        self._channel = channel
        self._signals = signals
        self._reports = reports
        self._broker = None
        self._status = None
        self._poll = select.poll()
        self._poll.register(channel.fileno(), select.POLLIN)
        self._poll.register(signals.reading, select.POLLIN)
        # By signal number: the time at which it is forwarded, unless init reports that the whole process group received it.
        self._undecided = {}
        self._seen_inside = {}

    def watch(self):
        """Runs until the program has ended, and returns its wait status."""
        while self._status is None:
            for descriptor, events in self._poll.poll(self._timeout_ms()):
                self._attend(descriptor, events)
            self._pass_on()
            self._priority.check()
            self._reports.flush()
        self._reports.flush(everything=True)
        self._end_all()
        return self._status

    def _end_all(self):
        """Kills the program's remaining processes, and removes its control group. Orphans are children of this process by now."""
        end = time.monotonic() + _END_SECONDS
        while time.monotonic() < end and self._has_children():
            for child in _children():
                _kill(child)
            time.sleep(0.001)
        fault = self._group.memory_fault()
        if fault is not None:
            os.write(2, b"iron_sandbox: %b\n" % fault.encode())
        self._group.end()

    def _has_children(self):
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            return True
        except ChildProcessError:
            return False

    def _timeout_ms(self):
        now = time.monotonic()
        ends = [*self._undecided.values(), self._priority.next_check]
        waits = [max(0, int((at - now) * 1000) + 1) for at in ends if at is not None]
        if self._reports.is_waiting:
            waits.append(1000)
        return min(waits) if waits else None

    def _attend(self, descriptor, events):
        broker = self._broker
        if descriptor == self._channel.fileno():
            self._hear()
        elif descriptor == self._signals.reading:
            for number in self._signals.take():
                self._note(number)
        elif descriptor == broker.listener:
            if events & select.POLLIN:
                broker.answer_next()
                for conversation in broker.conversations:
                    self._poll.register(conversation, select.POLLIN)
            else:
                # No process is left that could send a request.
                self._poll.unregister(descriptor)
        else:
            broker.converse(descriptor)
            if descriptor not in broker.conversations:
                self._poll.unregister(descriptor)

    def _hear(self):
        letter, content, descriptor = self._channel.receive()
        if letter == LISTENER:
            self._reports.add_standing(content, self._policy.gateway and self._policy.gateway.make_key())
            self._broker = self._make_broker(descriptor, self._policy, self._reports, self._channel)
            self._poll.register(descriptor, select.POLLIN)
        elif letter == SOCKET:
            self._broker.dial_inside(descriptor)
        elif letter == SEEN:
            if self._undecided.pop(content[0], None) is None:
                self._seen_inside[content[0]] = time.monotonic()
        elif letter == EXIT:
            (self._status,) = struct.unpack("i", content)
        elif letter == FAULT:
            self._status = content[0] << 8
            self._reports.add_fault(content[1:].decode(errors="replace"))
            os.write(2, b"iron_sandbox: the program was not started: " + content[1:] + b"\n")
        else:
            # The channel is closed: init was killed, and everything inside with it.
            self._status = _signal.SIGKILL

    def _note(self, number):
        if number == _signal.SIGCHLD:
            self._reap()
        elif number in (_signal.SIGUSR1, _signal.SIGUSR2):
            # Forwarded at once: they kill a process that does not handle them, so they are not sent to process groups.
            self._channel.send(SEND_SIGNAL, bytes([number]))
        elif number in PASSED_ON and time.monotonic() - self._seen_inside.pop(number, 0.0) > _GROUP_SECONDS:
            self._undecided.setdefault(number, time.monotonic() + _GROUP_SECONDS)

    def _reap(self):
        """Reaps ended children, including orphans, which become children of this process."""
        try:
            while True:
                pid, _ = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._child:
                    self._channel.send(ADOPTED)
        except ChildProcessError:
            pass

    def _pass_on(self):
        for number, at in list(self._undecided.items()):
            if time.monotonic() >= at:
                del self._undecided[number]
                self._channel.send(SEND_SIGNAL, bytes([number]))


def _children():
    """Returns the ids of this process's children."""
    found = []
    for thread in os.listdir("/proc/self/task"):
        try:
            with open("/proc/self/task/%s/children" % thread) as file:
                found += map(int, file.read().split())
        except FileNotFoundError:
            # The kernel has no such lists, or the thread has ended.
            return _children_by_parent()
    return found


def _children_by_parent():
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % name) as file:
                if int(file.read().rpartition(")")[2].split()[1]) == os.getpid():
                    found.append(int(name))
        except OSError:
            pass  # The process has already ended.
    return found


def _kill(pid):
    try:
        os.kill(pid, _signal.SIGKILL)
    except OSError:
        pass  # The process has already ended.


def _remove(folder):
    try:
        os.rmdir(folder)
    except OSError:
        # Imported only if the program left something in the folder.
        from shutil import rmtree

        rmtree(folder, ignore_errors=True)


def _end_like(status):
    """Ends this process as the program ended: with the same exit code, or by the same signal."""
    if os.WIFSIGNALED(status):
        import resource

        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number != _signal.SIGKILL:
            _signal.signal(number, _signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))
