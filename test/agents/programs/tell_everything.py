"""Prints its environment and arguments, logs every request with its URL, and dies with all of it in the traceback."""

import json
import logging
import os
import sys
import urllib.request

with open(os.environ["KEPT_BY_TEST"], "w") as file:
    json.dump(dict(os.environ), file)

logging.basicConfig(level=logging.INFO)
print(os.environ)
for name, value in os.environ.items():
    print(f"{name}={value}")
for given in sys.argv[1:]:
    print("given", given, "glued" + given, json.dumps({"key": given}))

import openai  # noqa: E402

client = openai.OpenAI()
client.chat.completions.create(model="penny", max_tokens=4, messages=[{"role": "user", "content": "Say hello."}])

content = {
    "message": str(os.environ),
    "data": {"url": os.environ["OPENAI_BASE_URL"], "customer_id": os.environ["IRON_CAGE_TOKEN"]},
}
request = urllib.request.Request(
    os.environ["IRON_CAGE_URL"] + "/api/run/events",
    json.dumps({**content, "message": content["message"][:3000]}).encode(),
    {"Authorization": "Bearer " + os.environ["IRON_CAGE_TOKEN"], "Content-Type": "application/json"},
)
urllib.request.urlopen(request).read()
raise RuntimeError(f"{os.environ['OPENAI_BASE_URL']} {os.environ['IRON_CAGE_TOKEN']} {sys.argv[1:]}")
