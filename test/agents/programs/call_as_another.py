"""Calls with the ids of another run, from processes that claim to belong to it."""

import os
import subprocess
import sys
import time

RUN, AGENT = sys.argv[1:3]
CALL = """
import os, resource, sys, urllib.error, urllib.request
if sys.argv[3] == "mark":
    _, hard = resource.getrlimit(10)
    resource.setrlimit(10, (min(hard, int(sys.argv[4])), hard))
request = urllib.request.Request(os.environ["IRON_CAGE_URL"] + "/gateway/" + sys.argv[1] + "/openai/v1/models")
try:
    print(sys.argv[3], urllib.request.urlopen(request).status)
except urllib.error.HTTPError as error:
    print(sys.argv[3], error.code)
"""
#: As `lockLimitOf` marks the other's processes.
MARK = 0x1CA6E_0000_0000 + int(AGENT[-8:], 16)


def call(kind, **options):
    given = [sys.executable, "-c", CALL, RUN, AGENT, kind, str(MARK)]
    environment = dict(os.environ, IRON_CAGE_AGENT_ID=AGENT)
    print(subprocess.run(given, env=environment, capture_output=True, text=True, **options).stdout.strip(), flush=True)


def orphaned(kind):
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(0.2)
            call(kind)
        os._exit(0)
    os.close(writer)
    os.wait()
    os.read(reader, 1)


if __name__ == "__main__":
    call("environment")
    call("mark")
    call("session", start_new_session=True)
    orphaned("orphan")
    print("done", flush=True)
    time.sleep(600)
