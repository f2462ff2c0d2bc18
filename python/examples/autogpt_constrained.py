"""An open-ended agent with limits of its own: steps, commands and a share of the budget.

Shows: the agent checks its remaining budget and stops well before the limit; forbidden commands are logged.
Start: iron-cage start python/examples/autogpt_constrained.py --budget 0.05
Needs: openai; OPENAI_API_KEY
"""

import json

from openai import OpenAI

import iron_cage

ALLOWED = {"search", "note"}
MOST_STEPS = 20
KEEP_USD = 0.02
RULES = """You collect facts about tea for ever. Answer with JSON only:
{"command": "search" | "note" | "delete_files", "argument": "…"}"""

client = OpenAI()
history = [{"role": "system", "content": RULES}, {"role": "user", "content": "Tea, step 1."}]
steps = 0
while steps < MOST_STEPS:
    if iron_cage.current_budget().remaining_usd < KEEP_USD:
        print("the money that may be spent on this is spent")
        break
    steps += 1
    text = client.chat.completions.create(model="gpt-4", max_tokens=100, messages=history).choices[0].message.content
    decision = json.loads(text)
    if decision["command"] in ALLOWED:
        result = "done"
    else:
        result = "forbidden"
        iron_cage.event(f"{decision['command']} is not allowed", "WARN", step=steps)
    print(f"{steps}. {decision['command']}: {result}")
    history = [*history[:1], {"role": "user", "content": f"Tea, step {steps + 1}. The last one was {result}."}]
    iron_cage.progress(steps, MOST_STEPS, "steps")

print("ended by itself")
