"""An agent that reaches each target of targets.json with every client, and leaves what came of it in results.json."""

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

with open("targets.json") as file:
    GIVEN = json.load(file)
# A client that takes longer hangs.
MOST_SECONDS = 60
TARGETS, PROGRAMS = GIVEN["targets"], GIVEN["programs"]


def use_urllib(url):
    return urllib.request.urlopen(url).read().decode()


def use_requests(url):
    import requests

    answer = requests.get(url)
    answer.raise_for_status()
    return answer.text


def use_httpx(url):
    import httpx

    return httpx.get(url).raise_for_status().text


def use_urllib3(url):
    import urllib3

    return urllib3.PoolManager(retries=False).request("GET", url).data.decode()


def use_aiohttp(url):
    import aiohttp

    async def ask():
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return await answer.text()

    return asyncio.run(ask())


def use_websockets(url):
    from websockets.sync.client import connect

    with connect(url.replace("https:", "wss:")) as socket:
        return socket.recv()


def use_boto3(url):
    import boto3
    from botocore.config import Config

    keys = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    queues = boto3.client("sqs", endpoint_url=url, config=Config(retries={"total_max_attempts": 1}), **keys)
    return json.dumps(queues.list_queues()["ResponseMetadata"])


def each(function):
    """Calls a function with one URL after another."""

    def use(urls):
        for url in urls:
            start = time.monotonic()
            try:
                ok, text = True, function(url)
            except Exception as error:
                ok, text = False, "%s: %s" % (type(error).__name__, error)
            yield {"ok": ok, "text": text, "ms": round((time.monotonic() - start) * 1000)}

    return use


def command(*words):
    """Runs a program for one URL after another; it is the last word, or where {} is."""

    def run(url):
        place = [word.replace("{}", url) for word in words]
        done = subprocess.run(
            place if place != list(words) else [*words, url], capture_output=True, text=True, timeout=MOST_SECONDS
        )
        if done.returncode:
            raise OSError(done.stderr.strip() or done.stdout)
        return done.stdout

    return each(run)


def program(*words):
    """Runs a program once, with all URLs. It prints the answers."""

    def run(urls):
        done = subprocess.run([*words, *urls], capture_output=True, text=True, timeout=MOST_SECONDS)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        for answer in answers:
            answer["stderr"] = done.stderr
        return answers or [{"ok": False, "text": done.stderr, "ms": 0}] * len(urls)

    return run


def python(name):
    return program(sys.executable, __file__, name)


FUNCTIONS = {
    "urllib": use_urllib,
    "requests": use_requests,
    "httpx": use_httpx,
    "urllib3": use_urllib3,
    "aiohttp": use_aiohttp,
    "websockets": use_websockets,
    "boto3": use_boto3,
}
CLIENTS = {
    "curl": command("curl", "-sSf"),
    "wget": command("wget", "-nv", "-O-", "--tries=1"),
    "git": command("git", "ls-remote", "{}.git"),
    **{name: python(name) for name in FUNCTIONS if name != "boto3"},
    **{
        "node %s" % name: program(PROGRAMS["node"], PROGRAMS["clients"], name)
        for name in ("fetch", "https", "undici", "ws")
    },
    "pip": command(
        PROGRAMS["pip"], "-m", "pip", "index", "versions", "x", "--retries", "0", "--index-url", "{}/simple/"
    ),
    "uv": command(PROGRAMS["uv"], "pip", "compile", "--no-cache", "--no-deps", "need.in", "--index-url", "{}/simple/"),
    "npm": command(PROGRAMS["npm"], "view", "x", "version", "--fetch-retries", "0", "--registry"),
}
if "boto3" in PROGRAMS:
    CLIENTS["boto3"] = program(PROGRAMS["boto3"], __file__, "boto3")
if "go" in PROGRAMS:
    CLIENTS["go"] = program(PROGRAMS["go"])
if "java" in PROGRAMS:
    CLIENTS["java"] = program(PROGRAMS["java"], "-cp", PROGRAMS["classes"], "Client")


def reach(name):
    urls = ["%s/%s" % (base, name.replace(" ", "-")) for base in TARGETS.values()]
    return dict(zip(TARGETS, CLIENTS[name](urls)))


def main():
    if len(sys.argv) > 1:
        for answer in each(FUNCTIONS[sys.argv[1]])(sys.argv[2:]):
            print(json.dumps(answer))
        return
    # By itself it tries four times, for ten seconds.
    os.environ["UV_HTTP_RETRIES"] = "0"
    with ThreadPoolExecutor(4) as pool:
        results = dict(zip(CLIENTS, pool.map(reach, CLIENTS)))
    with open("results.json", "w") as file:
        json.dump(results, file)


main()
