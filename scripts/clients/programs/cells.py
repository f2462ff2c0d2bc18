"""What every client is asked, and how it reports: a line for each cell of the table.

A program gives functions of a prompt and a model: ``ask`` returns a text, ``stream`` yields pieces of one, ``tools`` lets
the model call ``warmth`` and returns its last text. Each is the client's own way, as its quick start shows it.
"""

import asyncio
import json
import os
import queue
import sys
import threading
import time
import urllib.request

MODEL = os.environ["MATRIX_MODEL"]
#: Costs more than any budget has.
DEAR = os.environ["MATRIX_DEAR"]
#: The text of an answer; in the cage without the address.
SAID = ("Ask jane.canary@northwind-traders.com for help.", "Ask [EMAIL_REDACTED] for help.")
WARM = "Oslo 4 degrees."
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


#: Below the cage's gateway, for clients that the cage gives no address.
ADDRESSES = {
    "ANTHROPIC_VERTEX_BASE_URL": "vertex/v1",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "bedrock",
    "CO_API_URL": "cohere",
    "GOOGLE_GEMINI_BASE_URL": "google",
    "OLLAMA_HOST": "ollama",
    "AZURE_OPENAI_ENDPOINT": "azure",
    "GROQ_BASE_URL": "groq",
    "MISTRAL_BASE_URL": "mistral",
    "TOGETHER_BASE_URL": "together/v1",
}


def set_by_hand():
    gateway = os.environ.get("IRON_CAGE_GATEWAY_URL")
    variable = os.environ.get("MATRIX_ADDRESS")
    if gateway and variable and variable not in os.environ:
        os.environ[variable] = f"{gateway}/{ADDRESSES[variable]}"
        report("set by hand", variable)


def warmth(city: str) -> str:
    """How warm it is in a city.

    Args:
        city: its name
    """
    return f"{len(city)} degrees in {city}"


def run(*packages, ask, stream=None, tools=None):
    from importlib.metadata import version

    report("versions", {package: version(package) for package in packages})
    cells = {
        "whole": lambda: said(ask(prompt("whole"), MODEL)),
        "streamed": stream and (lambda: said("".join(stream(prompt("streamed"), MODEL)))),
        "tools": tools and (lambda: expect(tools(prompt("tools"), MODEL), WARM)),
        "402": lambda: said(ask(prompt("402"), DEAR)),
        "429": lambda: said(ask(prompt("429"), MODEL)),
        "cancel": stream and (lambda: leave(stream(prompt("cancel"), MODEL))),
    }
    for name, cell in cells.items():
        if cell:
            report(name, outcome(cell))
    sys.stdout.flush()
    # Threads and event loops of frameworks do not matter any more.
    os._exit(0)


def prompt(cell):
    return f"cell {cell}: how warm is it in Oslo?" if cell == "tools" else f"cell {cell}: say hello."


def said(text):
    expect(str(text).strip(), *SAID)
    return "leak" if SAID[0] in str(text) else "ok"


def expect(text, *wanted):
    if not any(one in str(text) for one in wanted):
        raise AssertionError(f"answered {str(text)[:200]!r}")
    return "ok"


def leave(pieces):
    for _ in pieces:
        break
    close = getattr(pieces, "close", None)
    if close:
        close()
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(os.environ["MATRIX_LEFT"]).read()
    return "ok"


def pieces_of(make):
    """Yields the items of an asynchronous generator, all in the one task that it needs; closing this closes that."""
    pieces, left = queue.Queue(), threading.Event()

    async def pump():
        steps = make()
        try:
            async for piece in steps:
                pieces.put((piece, None))
                if left.is_set():
                    break
        finally:
            await steps.aclose()
            await asyncio.sleep(0.1)

    def work():
        try:
            asyncio.run(pump())
            pieces.put((None, StopIteration()))
        except BaseException as error:
            pieces.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        while True:
            piece, error = pieces.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield piece
    finally:
        left.set()


def outcome(cell):
    began = time.monotonic()
    try:
        result = {"ok": cell()}
    except BaseException as error:
        names = [f"{kind.__module__.split('.')[0]}.{kind.__name__}" for kind in type(error).__mro__]
        shown = "shown as its answer" if isinstance(error, AssertionError) else names[0]
        result = {"error": shown, "status": status_of(error), "message": str(error)[:2000]}
    return {**result, "seconds": round(time.monotonic() - began, 1), "at": time.time()}


def status_of(error):
    while error is not None:
        status = getattr(error, "status_code", None)
        if isinstance(status, int):
            return status
        error = error.__cause__ or error.__context__
    return None


def report(name, value):
    print(f"@@{json.dumps([name, value])}", flush=True)


set_by_hand()
