"""Calls its server from all kinds of processes, and prints how each was answered."""

import multiprocessing
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROUTES = (os.environ["IRON_CAGE_URL"] + "/api/run", os.environ["OPENAI_BASE_URL"] + "/models")
TOKEN = os.environ["IRON_CAGE_TOKEN"]


def statuses():
    found = []
    for route in ROUTES:
        request = urllib.request.Request(route, headers={"Authorization": "Bearer " + TOKEN})
        try:
            found.append(urllib.request.urlopen(request).status)
        except urllib.error.HTTPError as error:
            found.append(error.code)
    return found


def in_a_pool(_number):
    return statuses()


def elsewhere(leave):
    """Twice forked, so that it has no parent here; `leave` is done in between."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        leave()
        if os.fork() == 0:
            os.write(writer, str(statuses()).encode())
        os._exit(0)
    os.wait()
    os.close(writer)
    return os.read(reader, 100).decode()


def as_daemon(writer, parent):
    while os.getppid() == parent:
        time.sleep(0.01)
    os.write(writer, str(statuses()).encode())


def without_its_environment():
    """A new session and an environment of nothing: only the arguments are left."""
    program = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); os.environ.update(a.split('=', 1) for a in sys.argv[4:]); "
    )
    program += "import call_as_others; call_as_others.as_daemon(int(sys.argv[2]), int(sys.argv[3]))"
    names = ("IRON_CAGE_URL", "OPENAI_BASE_URL", "IRON_CAGE_TOKEN")
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        words = [os.path.dirname(os.path.abspath(__file__)), str(writer), str(os.getpid())]
        words += [f"{name}={os.environ[name]}" for name in names]
        subprocess.Popen([sys.executable, "-c", program, *words], env={}, start_new_session=True, pass_fds=[writer])
        os._exit(0)
    os.wait()
    os.close(writer)
    return os.read(reader, 100).decode()


if __name__ == "__main__":
    print("address", os.environ["OPENAI_BASE_URL"])
    print("itself", statuses())
    child = [sys.executable, "-c", "import call_as_others; print(call_as_others.statuses())"]
    print("child", subprocess.run(child, cwd=os.path.dirname(__file__), capture_output=True, text=True).stdout.strip())
    with multiprocessing.get_context("fork").Pool(3) as pool:
        print("pool", *pool.map(in_a_pool, range(6)))
    print("orphan", elsewhere(lambda: None))
    print("session", elsewhere(os.setsid))
    print("daemon", without_its_environment())
    print("done", flush=True)
    time.sleep(600)
