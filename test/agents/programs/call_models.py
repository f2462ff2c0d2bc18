"""Calls the models of its arguments over plain HTTP and then fails. One written as "?model" may fail by itself."""

import json
import os
import sys
import urllib.error
import urllib.request

for argument in sys.argv[1:]:
    body = {"model": argument.lstrip("?"), "max_tokens": 4, "messages": [{"role": "user", "content": "Say hello."}]}
    headers = {"Content-Type": "application/json", "Authorization": "Bearer sk-of-the-agent"}
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    try:
        urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)).read()
    except urllib.error.HTTPError:
        if not argument.startswith("?"):
            raise
print({}["the end"])
