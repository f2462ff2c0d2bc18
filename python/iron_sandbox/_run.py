"""Implements ``run`` and ``confined``, the Python API."""

import functools
import json
import os
import subprocess
import sys
import tempfile

from . import SandboxError
from ._policy import Policy

_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_LAUNCH = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from iron_sandbox._main import main; sys.exit(main(sys.argv[1:]))"
)
_MAX_RESULT = 64 << 20


def run(command, *, level="strict", read=(), write=(), hide=(), connect=None, allow=(), limits=None, **of_subprocess):
    lists = {"read": read, "write": write, "hide": hide, "connect": connect or (), "allow": allow}
    Policy(level, connect=connect, **{name: lists[name] for name in ("read", "write", "hide", "allow")}, limits=limits)
    with tempfile.TemporaryFile() as report:
        words = ["--level", level, "--report-fd", str(report.fileno())]
        words += ["--limit-network"] if connect is not None else []
        for name, values in lists.items():
            for value in values:
                words += ["--" + name, os.fspath(value)]
        for name, value in (limits or {}).items():
            words += ["--" + name.replace("_", "-"), str(value)]
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCH, _FOLDER, *words, "--"]
        timeout, check = of_subprocess.pop("timeout", None), of_subprocess.pop("check", False)
        capture = of_subprocess.pop("capture_output", False)
        given = of_subprocess.pop("input", None)
        if capture:
            of_subprocess.update(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if given is not None:
            of_subprocess["stdin"] = subprocess.PIPE
        with subprocess.Popen(
            [*launcher, *map(os.fspath, command)], pass_fds=[report.fileno()], **of_subprocess
        ) as process:
            try:
                out, err = process.communicate(given, timeout=timeout)
            except BaseException:
                # The guard: everything in the sandbox ends with it.
                process.kill()
                raise
        report.seek(0)
        done = subprocess.CompletedProcess(command, process.returncode, out, err)
        lines = [json.loads(line) for line in report]
        done.denied = [line for line in lines if "action" in line]
        done.planted = [(line["planted"], line["aside"]) for line in lines if "planted" in line]
    if check:
        done.check_returncode()
    return done


def confined(**options):
    options.setdefault("level", "strict")

    def decorate(function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            policy = Policy(**options)
            policy.read += [os.path.abspath(path) for path in sys.path if path] + [os.getcwd()]
            policy.complete(os.path.abspath(sys.executable), os.environ)
            return _call_apart(policy, lambda: function(*args, **kwargs))

        return call

    return decorate


def _call_apart(policy, function):
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        try:
            from ._launch import launch

            launch(policy, lambda: _answer(function, writing))
        except OSError as error:
            os.write(2, b"iron_sandbox: the function was not called: %s\n" % str(error).encode())
        finally:
            os._exit(126)
    os.close(writing)
    with open(reading, "rb") as file:
        content = file.read(_MAX_RESULT)
    _, status = os.waitpid(child, 0)
    if not content:
        raise SandboxError("exit", "ended without a result (wait status %d)" % status)
    answer = json.loads(content)
    if "error" in answer:
        raise SandboxError(*answer["error"])
    return answer["value"]


def _answer(function, writing):
    """Runs in the sandbox: closes inherited descriptors except 0, 1 and 2, calls the function and writes its result to 3."""
    os.dup2(writing, 3)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))
    try:
        answer = {"value": function()}
        content = json.dumps(answer)
    except BaseException as error:
        content = json.dumps({"error": [type(error).__name__, str(error)]})
    left = content.encode()
    while left:
        left = left[os.write(3, left) :]
    sys.stdout.flush()
    sys.stderr.flush()
    raise SystemExit(0)
