"""Runs the agent at Modal, answers its callers on this machine, and passes its calls on to the gateway."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import sys
import threading
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import modal

sys.path.insert(0, "{sdk}")
import modal_app
import modal_relay
import serve

#: Calls that are passed on at the same time.
MAX_CALLS = 64
#: What an agent may ask of this machine.
ALLOWED_PATHS = re.compile(r"/(gateway|api/run)(/|\?|$)")


def main() -> None:
    """Until SIGTERM or SIGINT; with this process the app ends at Modal, too, and with it every container."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    with modal.enable_output(), modal_app.app.run(), modal.Queue.ephemeral() as calls:
        passing = threading.Thread(target=_pass_calls_on, args=(calls,), daemon=True)
        passing.start()
        serve.serve(port, lambda inputs: _call(inputs, calls))
        calls.put(None)
        passing.join()


def _call(inputs: Any, calls: modal.Queue) -> Any:
    reply = json.loads(modal_app.call.remote(json.dumps(inputs), calls))
    if "error" in reply:
        raise serve.caged_agent.AgentFailed(reply["error"])
    return reply["output"]


def _pass_calls_on(calls: modal.Queue) -> None:
    """Until there is None in the queue."""
    pool = ThreadPoolExecutor(MAX_CALLS)
    while (request := calls.get()) is not None:
        pool.submit(_pass_on, request, calls)
    pool.shutdown(wait=False, cancel_futures=True)


def _pass_on(request: dict[str, Any], calls: modal.Queue) -> None:
    """Asks the gateway, and sends its reply piece by piece as it comes."""
    down = {"partition": request["id"] + ".down", "partition_ttl": modal_relay.TTL_S}
    try:
        taken = range(request["pieces"])
        body = b"".join(calls.get(timeout=60, partition=request["id"] + ".up") for _ in taken)
        if not ALLOWED_PATHS.match(request["path"]):
            calls.put({"status": 404, "headers": [("content-length", "0")]}, **down)
            return calls.put(None, **down)
        server = urllib.parse.urlsplit(os.environ["IRON_CAGE_URL"])
        connection = http.client.HTTPConnection(server.hostname or "", server.port, timeout=3600)
        try:
            connection.request(request["method"], request["path"], body, dict(request["headers"]))
            reply = connection.getresponse()
            calls.put({"status": reply.status, "headers": modal_relay.passed_on(reply.getheaders())}, **down)
            while piece := reply.read1(modal_relay.PIECE_BYTES):
                calls.put(piece, **down)
            # A reply with a length that ends early ends like any other, for read1.
            calls.put(False if reply.length else None, **down)
        finally:
            connection.close()
    except Exception as error:  # noqa: BLE001 - the agent sees a broken connection, and the log why
        print(f"{request['path']}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        calls.put(False, **down)


if __name__ == "__main__":
    main()
