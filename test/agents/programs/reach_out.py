"""Tries each argument: "host:port" to connect to, a path to read, or ">path" to write."""

import socket
import sys

for target in sys.argv[1:]:
    try:
        if target.startswith(">"):
            open(target[1:], "w").close()
        elif target.startswith("/") or target.startswith("."):
            open(target).close()
        else:
            host, _, port = target.rpartition(":")
            socket.create_connection((host, int(port)), 5).close()
        print("done", target, flush=True)
    except OSError as error:
        print(type(error).__name__, target, flush=True)
