"""How a test drives a program with a real client: a line of JSON names the case to run and its environment, a line of
JSON brings its result. Imports are paid for once; clients are made anew in each case, as their users do."""

import gc
import json
import os
import sys


def obey(cases, *packages):
    from importlib.metadata import version

    # A framework's output is no answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(answer):
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    known = {case.__name__: case for case in cases}
    say({"versions": {package: version(package) for package in packages}})
    # Imports stay: the collector would look through all of it in each case, for longer than the case takes.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        wanted = json.loads(line)
        os.environ.update(wanted["environment"])
        # LiteLLM leaves streams to the collector; when that comes in the middle of a request, httpcore waits for ever.
        gc.collect()
        try:
            say({"result": known[wanted["case"]](wanted["model"])})
        except Exception as error:
            say({"error": describe(error)})


def describe(error):
    body = getattr(error, "body", None) or getattr(error, "details", None)
    error_body = body.get("error", body) if isinstance(body, dict) else {}
    status, code = getattr(error, "status_code", None), getattr(error, "code", None) or error_body.get("code")
    # Google's code is the status.
    if isinstance(code, int):
        status, code = code, ([*(error_body.get("details") or []), {}])[0].get("reason") or error_body.get("status")
    return {
        "classes": [kind.__module__.split(".")[0] + "." + kind.__name__ for kind in type(error).__mro__],
        "status": status,
        "code": code,
        "type": error_body.get("type"),
        "message": str(error),
    }


#: What tools are offered and asked in every case with tools.
QUESTION = "How warm is it in Oslo and in Rome?"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
#: One transparent pixel.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def warmth(city):
    return f"{len(city)} degrees in {city}"
