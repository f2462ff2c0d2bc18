"""The command line: ``iron-sandbox [options] -- program [arguments]``. Parsed by hand: argparse takes longer to
load than everything else together."""

import _signal
import os
import resource
import sys

from . import PolicyError
from ._groups import warm_up
from ._kernel import SUPPORTED
from ._policy import Policy

USAGE = """\
usage: iron-sandbox [options] -- program [arguments]
       iron-sandbox --explain [--json]

  --level LEVEL      observe, standard, auto (the better of these two) or strict (default: strict)
  --read PATH        a path to read and execute, besides the system and itself
  --write PATH       a path to read and change
  --hide PATH        a path to hide within one of these
  --keep PATH        a read-only path within one of these
  --own PATH         the program's folder, if it may not read it: opening the folder is not reported
  --connect H:P      a host and port it may connect to; limits the network (strict is limited always)
  --limit-network    limits the network although nothing is listed
  --gateway          where the network is limited, other connections go through the gateway of IRON_CAGE_URL, which decides
  --allow WHAT       unix, udp or listen: a use of its sockets besides connecting by TCP
  --memory-mb N  --processes N  --cpu-s N  --open-files N  --file-mb N
  --report-fd N      a descriptor that gets a line of JSON for each refusal
  --locks N          marks every process of the program by this limit of file locks, which limits nothing
  --env NAME=VALUE   a variable of the program that this Python must not have: LD_PRELOAD, for example
  --gate             the program begins when a line comes in, and not at all when the input ends before
  --stdin-fd N       with --gate: a descriptor that becomes the program's stdin (default: /dev/null)
       iron-sandbox --wait: all of this, the folder and the environment come in by stdin"""

_LISTS = ("read", "write", "hide", "keep", "own", "connect", "allow", "env")
_LIMITS = ("memory-mb", "processes", "cpu-s", "open-files", "file-mb")
_NUMBERS = (*_LIMITS, "report-fd", "locks", "stdin-fd")
_UNSAFE_MODULES = (
    "python -m takes modules from %s, where the program may leave some: use the command iron-sandbox, or"
    " python -P -m iron_sandbox (before Python 3.11: python -I -m iron_sandbox)"
)
_USAGE_FAULT, _REFUSED, _NOT_FOUND = 2, 126, 127


def main(words, modules_from=None, group=None):
    """Runs the command. Ends this process as the program ends, or returns 2 (usage), 126 (refused) or 127 (not found).

    ``modules_from``: a folder that this Python imports modules from, which the program may not write to. ``group``: the
    control group that this process is already in (``_spare.py``).
    """
    try:
        options, command = _parse(words)
        if options.get("explain"):
            from ._explain import print_explanation

            return print_explanation("json" in options)
        if group is None and SUPPORTED:
            warm_up()
        policy, program, args = _prepare(options, command)
        if modules_from is not None and policy.is_enforced and policy.may_open(modules_from, True):
            raise PolicyError(_UNSAFE_MODULES % modules_from)
    except PolicyError as error:
        sys.stderr.write("iron_sandbox: %s\n" % error)
        return _USAGE_FAULT
    if program is None:
        sys.stderr.write("iron_sandbox: %s: not found\n" % command[0])
        return _NOT_FOUND
    return _launch(policy, program, args, options, group)


def _launch(policy, program, args, options, group):
    from ._launch import launch

    if "locks" in options:
        _mark(options["locks"])
    report = options.get("report-fd")
    # The process that opens the gate sends SIGUSR1 once the program has reported that it handles it.
    ignored = [_signal.SIGUSR1] if "gate" in options else None

    def begin():
        if "gate" in options:
            _pass_gate(options.get("stdin-fd"))
        os.execve(program, args, policy.environment(os.environ))

    try:
        return launch(policy, begin, report, ignored, group)
    except OSError as error:
        from ._reports import Reports

        Reports(report).add_fault(str(error))
        sys.stderr.write("iron_sandbox: the program was not started: %s\n" % error)
        return _REFUSED


def _parse(words):
    options = {"level": "strict"}
    words = list(words)
    while words and words[0] != "--":
        word = words.pop(0)
        name = word[2:]
        if word in ("--help", "-h"):
            raise PolicyError(USAGE)
        if word in ("--explain", "--json", "--limit-network", "--gateway", "--gate"):
            options[name] = True
        elif word.startswith("--") and name in (*_LISTS, *_NUMBERS, "level"):
            if not words:
                raise PolicyError("%s: expected a value" % word)
            value = words.pop(0)
            if name in _LISTS:
                options.setdefault(name, []).append(value)
            else:
                options[name] = _number(word, value) if name in _NUMBERS else value
        else:
            raise PolicyError("unknown option %s\n%s" % (word, USAGE))
    return options, words[1:]


def _number(word, value):
    if not value.isdigit():
        raise PolicyError("%s: expected a whole number, got %r" % (word, value))
    return int(value)


def _prepare(options, command):
    if not command:
        raise PolicyError("no program is named\n" + USAGE)
    limits = {name.replace("-", "_"): options[name] for name in _LIMITS if name in options}
    connect = options.get("connect", [] if "limit-network" in options else None)
    lists = {name: options.get(name, ()) for name in ("read", "write", "hide", "keep", "own", "allow")}
    # The loader of this process has read its own by now.
    os.environ.update(variable.split("=", 1) for variable in options.get("env", ()))
    policy = Policy(options["level"], connect=connect, limits=limits, **lists)
    if "gateway" in options and policy.is_limited:
        from ._gateway import Gateway

        policy.gateway = Gateway.of(os.environ)
    program = _find(command[0])
    if program is not None:
        policy.read.append(os.getcwd())
        policy.complete(program, os.environ)
        policy.require_own()
    return policy, program, command


def _find(name):
    if "/" in name:
        return os.path.abspath(name)
    for folder in os.environ.get("PATH", os.defpath).split(":"):
        path = os.path.join(folder or ".", name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return os.path.abspath(path)
    return None


def _mark(locks):
    """Sets RLIMIT_LOCKS, which Python has no name for. Every process inherits it, the guard included."""
    try:
        resource.setrlimit(10, (locks, locks))
    except ValueError:
        pass  # This process is already marked with a lower limit: only root can raise it.


def _pass_gate(stdin):
    """Waits for a line, then makes the descriptor ``stdin`` this process's stdin; None is /dev/null."""
    # Reads byte by byte, so that nothing after the line is consumed.
    while True:
        piece = os.read(0, 1)
        if not piece:
            raise SystemExit(0)
        if piece == b"\n":
            break
    stdin = os.open("/dev/null", os.O_RDONLY) if stdin is None else stdin
    os.dup2(stdin, 0)
    os.close(stdin)


def command():
    """Entry point of the installed command ``iron-sandbox``."""
    if sys.argv[1:] != ["--wait"]:
        sys.exit(main(sys.argv[1:]))
    from ._spare import wait

    words, group = wait()
    try:
        sys.exit(main(words, group=group))
    finally:
        # Reached only if nothing was started.
        group.leave()
        group.end()
