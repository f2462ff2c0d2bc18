"""Asks until it is refused, as a runaway agent does, and goes on after that."""

import openai

client = openai.OpenAI()
refusals = 0
while refusals < 100:
    try:
        client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "More."}], max_tokens=1000)
        print("answered", flush=True)
    except openai.APIStatusError as error:
        refusals += 1
        print(f"refused {error.status_code} {error.code}", flush=True)
